//go:build ignore

package emulator

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
)

// operation is one request that Twilio understands.
type operation struct {
	product string // first label of the host: taskrouter, flex-api, iam, serverless, api
	method  string
	path    string
	id      string // operationId of Twilio's OpenAPI files; ours where they have none
	spec    bool   // whether those files have it

	query []string // parameters it accepts besides those of the path
	form  []string // fields of the urlencoded body; nil refuses one
	list  []string // those of form that may be repeated
	json  bool     // the body is JSON
	file  bool     // the body is multipart: form, and one file
	guard guard
	serve func(*call) reply // nil: known and not emulated

	segments []string
}

// guard says which credentials an operation accepts.
type guard int

const (
	guardAny   guard = iota // the account's token and every key, a restricted one by its policy
	guardAdmin              // not a Standard key: /Accounts and /Keys
	guardFlex               // the Flex token itself
)

//go:embed unemulated.txt
var unemulated string

var paging = []string{"PageSize", "Page", "PageToken"}

// operations are those that are served, then those that are known. The table is
// made when the first emulator is: no other command pays for it.
var operations = sync.OnceValue(func() []*operation {
	const (
		ws         = "/v1/Workspaces/{WorkspaceSid}"
		keys       = "/2010-04-01/Accounts/{AccountSid}/Keys"
		zs         = "/v1/Services/{ServiceSid}"
		ps         = "/v1/PluginService"
		subscribed = "/v1/Subscriptions/{SubscriptionSid}/SubscribedEvents"
	)
	all := []*operation{
		{product: "taskrouter", method: "GET", path: "/v1/Workspaces", id: "ListWorkspace", spec: true, query: append([]string{"FriendlyName"}, paging...), serve: listWorkspaces},
		{product: "taskrouter", method: "GET", path: "/v1/Workspaces/{Sid}", id: "FetchWorkspace", spec: true, serve: fetchWorkspace},
		{product: "taskrouter", method: "POST", path: "/v1/Workspaces/{Sid}", id: "UpdateWorkspace", spec: true, form: []string{"FriendlyName", "DefaultActivitySid", "TimeoutActivitySid", "EventCallbackUrl", "EventsFilter", "MultiTaskEnabled", "PrioritizeQueueOrder"}, serve: updateWorkspace},

		{product: "taskrouter", method: "GET", path: ws + "/Activities", id: "ListActivity", spec: true, query: append([]string{"FriendlyName", "Available"}, paging...), serve: listActivities},
		{product: "taskrouter", method: "POST", path: ws + "/Activities", id: "CreateActivity", spec: true, form: []string{"FriendlyName", "Available"}, serve: createActivity},
		{product: "taskrouter", method: "GET", path: ws + "/Activities/{Sid}", id: "FetchActivity", spec: true, serve: fetchActivity},
		{product: "taskrouter", method: "POST", path: ws + "/Activities/{Sid}", id: "UpdateActivity", spec: true, form: []string{"FriendlyName"}, serve: updateActivity},
		{product: "taskrouter", method: "DELETE", path: ws + "/Activities/{Sid}", id: "DeleteActivity", spec: true, serve: deleteActivity},

		{product: "taskrouter", method: "GET", path: ws + "/Workers", id: "ListWorker", spec: true, query: append([]string{"ActivityName", "ActivitySid", "Available", "FriendlyName", "TargetWorkersExpression", "TaskQueueName", "TaskQueueSid", "Ordering"}, paging...), serve: listWorkers},
		{product: "taskrouter", method: "POST", path: ws + "/Workers", id: "CreateWorker", spec: true, form: []string{"FriendlyName", "ActivitySid", "Attributes"}, serve: createWorker},
		{product: "taskrouter", method: "GET", path: ws + "/Workers/{Sid}", id: "FetchWorker", spec: true, serve: fetchWorker},
		{product: "taskrouter", method: "POST", path: ws + "/Workers/{Sid}", id: "UpdateWorker", spec: true, form: []string{"FriendlyName", "ActivitySid", "Attributes", "RejectPendingReservations"}, serve: updateWorker},
		{product: "taskrouter", method: "DELETE", path: ws + "/Workers/{Sid}", id: "DeleteWorker", spec: true, serve: deleteWorker},

		{product: "flex-api", method: "GET", path: "/v1/Configuration", id: "FetchConfiguration", spec: true, query: []string{"UiVersion"}, serve: fetchConfiguration},
		{product: "flex-api", method: "POST", path: "/v1/Configuration", id: "UpdateConfiguration", spec: true, json: true, serve: updateConfiguration},
		{product: "flex-api", method: "GET", path: "/v1/Instances/{InstanceSid}/Users", id: "ListFlexUser", query: paging, serve: listFlexUsers},
		{product: "flex-api", method: "GET", path: "/v4/Instances/{InstanceSid}/Users", id: "ListFlexUser", query: paging, serve: listFlexUsers},
		{product: "flex-api", method: "POST", path: "/v4/Instances/{InstanceSid}/Users/{FlexUserSid}/Tokens", id: "CreateFlexUserToken", json: true, serve: createFlexUserToken},
		{product: "flex-api", method: "POST", path: "/v1/Accounts/{AccountSid}/Tokens/Info", id: "FetchTokenInfo", form: []string{"Token", "Fingerprint"}, guard: guardFlex, serve: fetchTokenInfo},

		{product: "events", method: "GET", path: "/v1/Sinks", id: "ListSink", spec: true, query: append([]string{"InUse", "Status"}, paging...), serve: listSinks},
		{product: "events", method: "POST", path: "/v1/Sinks", id: "CreateSink", spec: true, form: []string{"Description", "SinkConfiguration", "SinkType"}, serve: createSink},
		{product: "events", method: "GET", path: "/v1/Sinks/{Sid}", id: "FetchSink", spec: true, serve: fetchSink},
		{product: "events", method: "POST", path: "/v1/Sinks/{Sid}", id: "UpdateSink", spec: true, form: []string{"Description"}, serve: updateSink},
		{product: "events", method: "DELETE", path: "/v1/Sinks/{Sid}", id: "DeleteSink", spec: true, serve: deleteSink},
		{product: "events", method: "POST", path: "/v1/Sinks/{Sid}/Test", id: "CreateSinkTest", spec: true, form: []string{}, serve: createSinkTest},
		{product: "events", method: "POST", path: "/v1/Sinks/{Sid}/Validate", id: "CreateSinkValidate", spec: true, form: []string{"TestId"}, serve: createSinkValidate},
		{product: "events", method: "GET", path: "/v1/Subscriptions", id: "ListSubscription", spec: true, query: append([]string{"SinkSid"}, paging...), serve: listSubscriptions},
		{product: "events", method: "POST", path: "/v1/Subscriptions", id: "CreateSubscription", spec: true, form: []string{"Description", "SinkSid", "Types"}, list: []string{"Types"}, serve: createSubscription},
		{product: "events", method: "GET", path: "/v1/Subscriptions/{Sid}", id: "FetchSubscription", spec: true, serve: fetchSubscription},
		{product: "events", method: "POST", path: "/v1/Subscriptions/{Sid}", id: "UpdateSubscription", spec: true, form: []string{"Description"}, serve: updateSubscription},
		{product: "events", method: "DELETE", path: "/v1/Subscriptions/{Sid}", id: "DeleteSubscription", spec: true, serve: deleteSubscription},
		{product: "events", method: "GET", path: subscribed, id: "ListSubscribedEvent", spec: true, query: paging, serve: listSubscribedEvents},
		{product: "events", method: "POST", path: subscribed, id: "CreateSubscribedEvent", spec: true, form: []string{"Type", "SchemaVersion"}, serve: createSubscribedEvent},
		{product: "events", method: "GET", path: subscribed + "/{Type}", id: "FetchSubscribedEvent", spec: true, serve: fetchSubscribedEvent},
		{product: "events", method: "POST", path: subscribed + "/{Type}", id: "UpdateSubscribedEvent", spec: true, form: []string{"SchemaVersion"}, serve: updateSubscribedEvent},
		{product: "events", method: "DELETE", path: subscribed + "/{Type}", id: "DeleteSubscribedEvent", spec: true, serve: deleteSubscribedEvent},
		{product: "flex-api", method: "GET", path: ps + "/Plugins", id: "ListPlugin", spec: true, query: paging, serve: listPlugins},
		{product: "flex-api", method: "POST", path: ps + "/Plugins", id: "CreatePlugin", spec: true, form: []string{"UniqueName", "FriendlyName", "Description"}, serve: createPlugin},
		{product: "flex-api", method: "GET", path: ps + "/Plugins/{Sid}", id: "FetchPlugin", spec: true, serve: fetchPlugin},
		{product: "flex-api", method: "POST", path: ps + "/Plugins/{Sid}", id: "UpdatePlugin", spec: true, form: []string{"FriendlyName", "Description"}, serve: updatePlugin},
		{product: "flex-api", method: "GET", path: ps + "/Plugins/{PluginSid}/Versions", id: "ListPluginVersion", spec: true, query: paging, serve: listPluginVersions},
		{product: "flex-api", method: "POST", path: ps + "/Plugins/{PluginSid}/Versions", id: "CreatePluginVersion", spec: true, form: []string{"Version", "PluginUrl", "Changelog", "Private", "CliVersion", "ValidateStatus"}, serve: createPluginVersion},
		{product: "flex-api", method: "GET", path: ps + "/Plugins/{PluginSid}/Versions/{Sid}", id: "FetchPluginVersion", spec: true, serve: fetchPluginVersion},
		{product: "flex-api", method: "GET", path: ps + "/Configurations", id: "ListPluginConfiguration", spec: true, query: paging, serve: listPluginConfigurations},
		{product: "flex-api", method: "POST", path: ps + "/Configurations", id: "CreatePluginConfiguration", spec: true, form: []string{"Name", "Description", "Plugins"}, list: []string{"Plugins"}, serve: createPluginConfiguration},
		{product: "flex-api", method: "GET", path: ps + "/Configurations/{Sid}", id: "FetchPluginConfiguration", spec: true, serve: fetchPluginConfiguration},
		{product: "flex-api", method: "GET", path: ps + "/Configurations/{ConfigurationSid}/Plugins", id: "ListConfiguredPlugin", spec: true, query: paging, serve: listConfiguredPlugins},
		{product: "flex-api", method: "GET", path: ps + "/Configurations/{ConfigurationSid}/Plugins/{PluginSid}", id: "FetchConfiguredPlugin", spec: true, serve: fetchConfiguredPlugin},
		{product: "flex-api", method: "GET", path: ps + "/Releases", id: "ListPluginRelease", spec: true, query: paging, serve: listPluginReleases},
		{product: "flex-api", method: "POST", path: ps + "/Releases", id: "CreatePluginRelease", spec: true, form: []string{"ConfigurationId"}, serve: createPluginRelease},
		{product: "flex-api", method: "GET", path: ps + "/Releases/{Sid}", id: "FetchPluginRelease", spec: true, serve: fetchPluginRelease},

		{product: "serverless", method: "GET", path: "/v1/Services", id: "ListService", spec: true, query: paging, serve: listServices},
		{product: "serverless", method: "POST", path: "/v1/Services", id: "CreateService", spec: true, form: []string{"UniqueName", "FriendlyName", "IncludeCredentials", "UiEditable"}, serve: createService},
		{product: "serverless", method: "GET", path: "/v1/Services/{Sid}", id: "FetchService", spec: true, serve: fetchService},
		{product: "serverless", method: "GET", path: zs + "/Environments", id: "ListEnvironment", spec: true, query: paging, serve: listEnvironments},
		{product: "serverless", method: "POST", path: zs + "/Environments", id: "CreateEnvironment", spec: true, form: []string{"UniqueName", "DomainSuffix"}, serve: createEnvironment},
		{product: "serverless", method: "GET", path: zs + "/Environments/{Sid}", id: "FetchEnvironment", spec: true, serve: fetchEnvironment},
		{product: "serverless", method: "GET", path: zs + "/Assets", id: "ListAsset", spec: true, query: paging, serve: listFiles},
		{product: "serverless", method: "POST", path: zs + "/Assets", id: "CreateAsset", spec: true, form: []string{"FriendlyName"}, serve: createFile},
		{product: "serverless", method: "GET", path: zs + "/Assets/{Sid}", id: "FetchAsset", spec: true, serve: fetchFile},
		{product: "serverless", method: "GET", path: zs + "/Assets/{AssetSid}/Versions", id: "ListAssetVersion", spec: true, query: paging, serve: listFileVersions},
		{product: "serverless", method: "GET", path: zs + "/Assets/{AssetSid}/Versions/{Sid}", id: "FetchAssetVersion", spec: true, serve: fetchFileVersion},
		{product: "serverless", method: "GET", path: zs + "/Functions", id: "ListFunction", spec: true, query: paging, serve: listFiles},
		{product: "serverless", method: "POST", path: zs + "/Functions", id: "CreateFunction", spec: true, form: []string{"FriendlyName"}, serve: createFile},
		{product: "serverless", method: "GET", path: zs + "/Functions/{Sid}", id: "FetchFunction", spec: true, serve: fetchFile},
		{product: "serverless", method: "GET", path: zs + "/Functions/{FunctionSid}/Versions", id: "ListFunctionVersion", spec: true, query: paging, serve: listFileVersions},
		{product: "serverless", method: "GET", path: zs + "/Functions/{FunctionSid}/Versions/{Sid}", id: "FetchFunctionVersion", spec: true, serve: fetchFileVersion},
		{product: "serverless", method: "GET", path: zs + "/Builds", id: "ListBuild", spec: true, query: paging, serve: listBuilds},
		{product: "serverless", method: "POST", path: zs + "/Builds", id: "CreateBuild", spec: true, form: []string{"AssetVersions", "FunctionVersions", "Dependencies", "Runtime"}, list: []string{"AssetVersions", "FunctionVersions"}, serve: createBuild},
		{product: "serverless", method: "GET", path: zs + "/Builds/{Sid}", id: "FetchBuild", spec: true, serve: fetchBuild},
		{product: "serverless", method: "GET", path: zs + "/Builds/{Sid}/Status", id: "FetchBuildStatus", spec: true, serve: fetchBuildStatus},
		{product: "serverless", method: "GET", path: zs + "/Environments/{EnvironmentSid}/Deployments", id: "ListDeployment", spec: true, query: paging, serve: listDeployments},
		{product: "serverless", method: "POST", path: zs + "/Environments/{EnvironmentSid}/Deployments", id: "CreateDeployment", spec: true, form: []string{"BuildSid", "IsPlugin"}, serve: createDeployment},
		{product: "serverless", method: "GET", path: zs + "/Environments/{EnvironmentSid}/Deployments/{Sid}", id: "FetchDeployment", spec: true, serve: fetchDeployment},
		{product: "serverless-upload", method: "POST", path: zs + "/Assets/{AssetSid}/Versions", id: "CreateAssetVersion", form: []string{"Path", "Visibility"}, file: true, serve: uploadFileVersion},
		{product: "serverless-upload", method: "POST", path: zs + "/Functions/{FunctionSid}/Versions", id: "CreateFunctionVersion", form: []string{"Path", "Visibility"}, file: true, serve: uploadFileVersion},

		{product: "iam", method: "POST", path: "/v1/Accounts/{AccountSid}/Tokens/validate", id: "ValidateToken", json: true, serve: validateToken},
		{product: "iam", method: "GET", path: "/v1/Keys", id: "ListGetKeys", spec: true, query: append([]string{"AccountSid"}, paging...), guard: guardAdmin, serve: listKeys},
		{product: "iam", method: "POST", path: "/v1/Keys", id: "CreateNewKey", spec: true, form: []string{"AccountSid", "FriendlyName", "KeyType", "Policy"}, guard: guardAdmin, serve: createKey},
		{product: "iam", method: "GET", path: "/v1/Keys/{Sid}", id: "FetchKey", spec: true, guard: guardAdmin, serve: fetchKey},
		{product: "iam", method: "POST", path: "/v1/Keys/{Sid}", id: "UpdateKey", spec: true, form: []string{"FriendlyName", "Policy"}, guard: guardAdmin, serve: updateKey},
		{product: "iam", method: "DELETE", path: "/v1/Keys/{Sid}", id: "DeleteKey", spec: true, guard: guardAdmin, serve: deleteKey},

		{product: "api", method: "GET", path: "/2010-04-01/Accounts/{AccountSid}.json", id: "FetchAccount", guard: guardAdmin, serve: fetchAccount},
		{product: "api", method: "GET", path: keys + ".json", id: "ListKey", query: paging, guard: guardAdmin, serve: listKeys2010},
		{product: "api", method: "POST", path: keys + ".json", id: "CreateNewKey", form: []string{"FriendlyName"}, guard: guardAdmin, serve: createKey2010},
		{product: "api", method: "GET", path: keys + "/{Sid}.json", id: "FetchKey", guard: guardAdmin, serve: fetchKey2010},
		{product: "api", method: "POST", path: keys + "/{Sid}.json", id: "UpdateKey", form: []string{"FriendlyName"}, guard: guardAdmin, serve: updateKey2010},
		{product: "api", method: "DELETE", path: keys + "/{Sid}.json", id: "DeleteKey", guard: guardAdmin, serve: deleteKey},

		{product: "api", method: "GET", path: "/2010-04-01/Accounts.json", id: "ListAccount"},
	}
	for line := range strings.Lines(unemulated) {
		f := strings.Fields(line)
		all = append(all, &operation{product: f[0], method: f[1], path: f[2], id: f[3], spec: true})
	}
	all = append(all, &operation{product: "iam", method: "POST", path: "/v1/Accounts/{AccountSid}/Tokens/refresh", id: "RefreshToken"})
	for _, op := range all {
		op.segments = strings.Split(op.path, "/")
	}
	return all
})

// products are the first labels of Twilio's hosts that the emulator knows of,
// emulated or not.
var products = []string{"taskrouter", "flex-api", "iam", "api", "events", "serverless", "serverless-upload", "sync", "conversations", "studio", "insights", "monitor", "preview"}

// route finds the operation for a request. Without one, allowed holds the
// methods that the path does accept.
func route(product, method, path string) (op *operation, vars map[string]string, allowed []string) {
	segments := strings.Split(path, "/")
	fewest := -1
	for _, candidate := range operations() {
		if candidate.product != product || len(candidate.segments) != len(segments) {
			continue
		}
		found, ok := candidate.match(segments)
		if !ok {
			continue
		}
		if candidate.method != method {
			allowed = append(allowed, candidate.method)
			continue
		}
		// A literal path such as /Workers/Statistics wins over /Workers/{Sid}.
		if fewest < 0 || len(found) < fewest {
			op, vars, fewest = candidate, found, len(found)
		}
	}
	slices.Sort(allowed)
	return op, vars, slices.Compact(allowed)
}

func (op *operation) match(segments []string) (map[string]string, bool) {
	var vars map[string]string
	for i, want := range op.segments {
		name, isVar := strings.CutPrefix(want, "{")
		if !isVar {
			if want != segments[i] {
				return nil, false
			}
			continue
		}
		name, suffix, _ := strings.Cut(name, "}")
		value, ok := strings.CutSuffix(segments[i], suffix)
		if !ok || value == "" {
			return nil, false
		}
		if vars == nil {
			vars = make(map[string]string, 2)
		}
		vars[name] = value
	}
	return vars, true
}
