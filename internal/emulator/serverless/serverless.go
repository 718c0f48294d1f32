// Package serverless is Twilio Serverless as the emulator has it, as far as
// plugins and the token Function need it: services, environments and their
// variables, assets, functions, builds and deployments, and under twil.io the
// files themselves. What a plugin is belongs to package flexapi.
// https://www.twilio.com/docs/serverless/api
package serverless

import (
	_ "embed"

	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/store"
)

//go:embed unemulated.txt
var unemulated string

// Product registers Serverless with an emulator.
func Product() emulator.Product {
	return emulator.Product{
		Host: "serverless", Operations: operations, Known: unemulated, Unknowns: unknowns,
		Kinds: []store.AnyKind{services, environments, variables, files, versions, builds, deployments},
		SIDs:  map[string]string{"AssetVersions": "ZN", "FunctionVersions": "ZN", "BuildSid": "ZB"},
		Sites: []emulator.Site{{Suffix: ".twil.io", Serve: serveHosted}},
	}
}

func operations() []emulator.Operation {
	const zs = "/v1/Services/{ServiceSid}"
	const ze = zs + "/Environments/{EnvironmentSid}"
	return []emulator.Operation{
		{
			Method: "GET", Path: "/v1/Services", ID: "ListService", Spec: true, Paged: true,
			Serve: emulator.List("services", emulator.All(services, emulator.Oldest), viewService),
		},
		{
			Method: "POST", Path: "/v1/Services", ID: "CreateService", Spec: true, Form: []string{"UniqueName", "FriendlyName", "IncludeCredentials", "UiEditable"},
			Note:  "unique names; domains below twil.io, where what is deployed is served: public assets and Functions to all, protected ones to signed requests; Functions run in Node, where it is installed",
			Serve: createService,
		},
		{
			Method: "GET", Path: "/v1/Services/{Sid}", ID: "FetchService", Spec: true,
			Serve: emulator.Fetch(serviceInPath, viewService),
		},
		{
			Method: "POST", Path: "/v1/Services/{Sid}", ID: "UpdateService", Spec: true, Form: []string{"FriendlyName", "IncludeCredentials", "UiEditable"},
			Serve: emulator.Update(serviceTable, serviceInPath, updateService, viewService),
		},
		{
			Method: "DELETE", Path: "/v1/Services/{Sid}", ID: "DeleteService", Spec: true,
			Note:  "with all that it holds",
			Serve: deleteService,
		},
		{
			Method: "GET", Path: zs + "/Environments", ID: "ListEnvironment", Spec: true, Paged: true,
			Serve: emulator.List("environments", emulator.Within(serviceInPath, environments, (*environment).of, emulator.Oldest), viewEnvironment),
		},
		{
			Method: "POST", Path: zs + "/Environments", ID: "CreateEnvironment", Spec: true, Form: []string{"UniqueName", "FriendlyName", "DomainSuffix"},
			Note:  "unique names and suffixes in a service; the friendly name that Twilio's own tools send is ignored",
			Serve: createEnvironment,
		},
		{
			Method: "GET", Path: zs + "/Environments/{Sid}", ID: "FetchEnvironment", Spec: true,
			Serve: emulator.Fetch(environmentInPath, viewEnvironment),
		},
		{
			Method: "DELETE", Path: zs + "/Environments/{Sid}", ID: "DeleteEnvironment", Spec: true,
			Serve: deleteEnvironment,
		},
		{
			Method: "GET", Path: ze + "/Variables", ID: "ListVariable", Spec: true, Paged: true,
			Serve: emulator.List("variables", emulator.Within(environmentInPath, variables, (*variable).of, emulator.Oldest), viewVariable),
		},
		{
			Method: "POST", Path: ze + "/Variables", ID: "CreateVariable", Spec: true, Form: []string{"Key", "Value"},
			Note:  "a key may occur once in an environment; values of at most 450 bytes, in the clear to who may read them, as at Twilio",
			Serve: createVariable,
		},
		{
			Method: "GET", Path: ze + "/Variables/{Sid}", ID: "FetchVariable", Spec: true,
			Serve: emulator.Fetch(variableInPath, viewVariable),
		},
		{
			Method: "POST", Path: ze + "/Variables/{Sid}", ID: "UpdateVariable", Spec: true, Form: []string{"Key", "Value"},
			Serve: emulator.Update(variableTable, variableInPath, readVariable, viewVariable),
		},
		{
			Method: "DELETE", Path: ze + "/Variables/{Sid}", ID: "DeleteVariable", Spec: true,
			Serve: deleteVariable,
		},
		{
			Method: "GET", Path: zs + "/Assets", ID: "ListAsset", Spec: true, Paged: true,
			Serve: emulator.List("assets", emulator.Within(serviceInPath, files, (*file).assetOf, emulator.Oldest), viewFile),
		},
		{
			Method: "POST", Path: zs + "/Assets", ID: "CreateAsset", Spec: true, Form: []string{"FriendlyName"},
			Serve: createFile,
		},
		{
			Method: "GET", Path: zs + "/Assets/{Sid}", ID: "FetchAsset", Spec: true,
			Serve: emulator.Fetch(fileInPath, viewFile),
		},
		{
			Method: "DELETE", Path: zs + "/Assets/{Sid}", ID: "DeleteAsset", Spec: true,
			Note:  "refused while a build has a version of it",
			Serve: deleteFile,
		},
		{
			Method: "GET", Path: zs + "/Assets/{AssetSid}/Versions", ID: "ListAssetVersion", Spec: true, Paged: true,
			Serve: emulator.List("asset_versions", emulator.Within(fileInPath, versions, (*fileVersion).of, emulator.Newest), viewVersion),
		},
		{
			Method: "GET", Path: zs + "/Assets/{AssetSid}/Versions/{Sid}", ID: "FetchAssetVersion", Spec: true,
			Serve: emulator.Fetch(versionInPath, viewVersion),
		},
		{
			Method: "GET", Path: zs + "/Functions", ID: "ListFunction", Spec: true, Paged: true,
			Serve: emulator.List("functions", emulator.Within(serviceInPath, files, (*file).functionOf, emulator.Oldest), viewFile),
		},
		{
			Method: "POST", Path: zs + "/Functions", ID: "CreateFunction", Spec: true, Form: []string{"FriendlyName"},
			Note:  "kept and built, never run",
			Serve: createFile,
		},
		{
			Method: "GET", Path: zs + "/Functions/{Sid}", ID: "FetchFunction", Spec: true,
			Serve: emulator.Fetch(fileInPath, viewFile),
		},
		{
			Method: "POST", Path: zs + "/Functions/{Sid}", ID: "UpdateFunction", Spec: true, Form: []string{"FriendlyName"},
			Serve: emulator.Update(fileTable, fileInPath, updateFile, viewFile),
		},
		{
			Method: "DELETE", Path: zs + "/Functions/{Sid}", ID: "DeleteFunction", Spec: true,
			Note:  "refused while a build has a version of it",
			Serve: deleteFile,
		},
		{
			Method: "GET", Path: zs + "/Functions/{FunctionSid}/Versions", ID: "ListFunctionVersion", Spec: true, Paged: true,
			Serve: emulator.List("function_versions", emulator.Within(fileInPath, versions, (*fileVersion).of, emulator.Newest), viewVersion),
		},
		{
			Method: "GET", Path: zs + "/Functions/{FunctionSid}/Versions/{Sid}", ID: "FetchFunctionVersion", Spec: true,
			Serve: emulator.Fetch(versionInPath, viewVersion),
		},
		{
			Method: "GET", Path: zs + "/Functions/{FunctionSid}/Versions/{Sid}/Content", ID: "FetchFunctionVersionContent", Spec: true,
			Serve: emulator.Fetch(versionInPath, viewContent),
		},
		{
			Method: "GET", Path: zs + "/Builds", ID: "ListBuild", Spec: true, Paged: true,
			Serve: emulator.List("builds", emulator.Within(serviceInPath, builds, (*build).of, emulator.Newest), viewBuild),
		},
		{
			Method: "POST", Path: zs + "/Builds", ID: "CreateBuild", Spec: true, Form: []string{"AssetVersions", "FunctionVersions", "Dependencies", "Runtime"}, List: []string{"AssetVersions", "FunctionVersions", "Dependencies"},
			Note:  "takes as long, and ends, as a switch says; a path may occur once; dependencies are kept, also in the quotes in which Twilio's own tools send them, and not fetched",
			Serve: createBuild,
		},
		{
			Method: "GET", Path: zs + "/Builds/{Sid}", ID: "FetchBuild", Spec: true,
			Serve: emulator.Fetch(buildInPath, viewBuild),
		},
		{
			Method: "DELETE", Path: zs + "/Builds/{Sid}", ID: "DeleteBuild", Spec: true,
			Note:  "refused while it is deployed",
			Serve: deleteBuild,
		},
		{
			Method: "GET", Path: zs + "/Builds/{Sid}/Status", ID: "FetchBuildStatus", Spec: true,
			Serve: emulator.Fetch(buildInPath, viewBuildStatus),
		},
		{
			Method: "GET", Path: zs + "/Environments/{EnvironmentSid}/Deployments", ID: "ListDeployment", Spec: true, Paged: true,
			Serve: emulator.List("deployments", emulator.Within(environmentInPath, deployments, (*deployment).of, emulator.Newest), viewDeployment),
		},
		{
			Method: "POST", Path: zs + "/Environments/{EnvironmentSid}/Deployments", ID: "CreateDeployment", Spec: true, Form: []string{"BuildSid", "IsPlugin"},
			Note:  "completed builds only; what the build leaves out is no longer served",
			Serve: createDeployment,
		},
		{
			Method: "GET", Path: zs + "/Environments/{EnvironmentSid}/Deployments/{Sid}", ID: "FetchDeployment", Spec: true,
			Serve: emulator.Fetch(deploymentInPath, viewDeployment),
		},
		{
			Product: "serverless-upload", Method: "POST", Path: zs + "/Assets/{AssetSid}/Versions", ID: "CreateAssetVersion", Form: []string{"Path", "Visibility"}, File: maxUpload,
			Note:  "multipart; undocumented but for Twilio's own tools",
			Serve: uploadVersion,
		},
		{
			Product: "serverless-upload", Method: "POST", Path: zs + "/Functions/{FunctionSid}/Versions", ID: "CreateFunctionVersion", Form: []string{"Path", "Visibility"}, File: maxUpload,
			Note:  "multipart; undocumented but for Twilio's own tools",
			Serve: uploadVersion,
		},
	}
}
