package twilioapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"

	serverless "github.com/twilio/twilio-go/rest/serverless/v1"

	"github.com/flexvc/flexvc/internal/twilio"
)

// Services lists the account's Serverless services.
// https://www.twilio.com/docs/serverless/api/resource/services
func (c *Client) Services(ctx context.Context) ([]twilio.Service, error) {
	o := op{what: "list the Serverless services of " + twilio.Short(c.account), repeat: always}
	return list(ctx, c, o, serverlessURL+"/v1/Services", "services", service)
}

// CreateService makes a service. Its name is unique, so a repetition cannot
// make a second one; it is not repeated all the same, as the answer would then
// be a conflict.
func (c *Client) CreateService(ctx context.Context, uniqueName, friendlyName string) (twilio.Service, error) {
	o := op{what: "create Serverless service " + printable(uniqueName) + " of " + twilio.Short(c.account), repeat: never}
	params := (&serverless.CreateServiceParams{}).SetUniqueName(uniqueName).SetFriendlyName(friendlyName)
	s, err := c.serverless(ctx, o).CreateService(params)
	if err != nil {
		return twilio.Service{}, c.problem(ctx, o, err)
	}
	return service(s), nil
}

// Environments lists the environments of a service.
func (c *Client) Environments(ctx context.Context, serviceSID string) ([]twilio.Environment, error) {
	o := op{what: "list the environments of " + twilio.Short(serviceSID), repeat: always}
	if err := checkSID("ZS", serviceSID); err != nil {
		return nil, err
	}
	return list(ctx, c, o, serverlessURL+"/v1/Services/"+serviceSID+"/Environments", "environments", environment)
}

// CreateEnvironment makes an environment, whose domain ends in the suffix; empty is
// none.
func (c *Client) CreateEnvironment(ctx context.Context, serviceSID, uniqueName, suffix string) (twilio.Environment, error) {
	o := op{what: "create environment " + printable(uniqueName) + " of " + twilio.Short(serviceSID), repeat: never}
	if err := checkSID("ZS", serviceSID); err != nil {
		return twilio.Environment{}, err
	}
	params := (&serverless.CreateEnvironmentParams{}).SetUniqueName(uniqueName)
	if suffix != "" {
		params.SetDomainSuffix(suffix)
	}
	e, err := c.serverless(ctx, o).CreateEnvironment(serviceSID, params)
	if err != nil {
		return twilio.Environment{}, c.problem(ctx, o, err)
	}
	return environment(e), nil
}

// Assets lists the assets of a service.
func (c *Client) Assets(ctx context.Context, serviceSID string) ([]twilio.Asset, error) {
	o := op{what: "list the assets of " + twilio.Short(serviceSID), repeat: always}
	if err := checkSID("ZS", serviceSID); err != nil {
		return nil, err
	}
	return list(ctx, c, o, serverlessURL+"/v1/Services/"+serviceSID+"/Assets", "assets", asset)
}

// CreateAsset makes an asset, which has no file yet. Names are not unique, so it
// is never repeated.
func (c *Client) CreateAsset(ctx context.Context, serviceSID, friendlyName string) (twilio.Asset, error) {
	o := op{what: "create asset " + printable(friendlyName) + " of " + twilio.Short(serviceSID), repeat: never}
	if err := checkSID("ZS", serviceSID); err != nil {
		return twilio.Asset{}, err
	}
	a, err := c.serverless(ctx, o).CreateAsset(serviceSID, (&serverless.CreateAssetParams{}).SetFriendlyName(friendlyName))
	if err != nil {
		return twilio.Asset{}, c.problem(ctx, o, err)
	}
	return asset(a), nil
}

// AssetVersions lists the files that were uploaded for an asset.
func (c *Client) AssetVersions(ctx context.Context, serviceSID, assetSID string) ([]twilio.AssetVersion, error) {
	o := op{what: "list the versions of asset " + twilio.Short(assetSID), repeat: always}
	if err := c.checkAsset(serviceSID, assetSID); err != nil {
		return nil, err
	}
	return list(ctx, c, o, serverlessURL+"/v1/Services/"+serviceSID+"/Assets/"+assetSID+"/Versions", "asset_versions",
		func(v *serverless.ServerlessV1AssetVersion) twilio.AssetVersion {
			return twilio.AssetVersion{SID: value(v.Sid), Path: value(v.Path)}
		})
}

func (c *Client) checkAsset(serviceSID, assetSID string) error {
	if err := checkSID("ZS", serviceSID); err != nil {
		return err
	}
	return checkSID("ZH", assetSID)
}

// UploadScript stores JavaScript under a path, for requests only that Twilio
// signed.
// https://www.twilio.com/docs/serverless/api/resource/asset-version
func (c *Client) UploadScript(ctx context.Context, serviceSID, assetSID, path string, content []byte) (twilio.AssetVersion, error) {
	o := op{what: "upload " + printable(path) + " to " + twilio.Short(serviceSID), repeat: never}
	if err := c.checkAsset(serviceSID, assetSID); err != nil {
		return twilio.AssetVersion{}, err
	}
	var v serverless.ServerlessV1AssetVersion
	body, contentType := scriptForm(path, "protected", "bundle.js", content)
	if err := c.upload(ctx, o, "/v1/Services/"+serviceSID+"/Assets/"+assetSID+"/Versions", body, contentType, &v); err != nil {
		return twilio.AssetVersion{}, err
	}
	return twilio.AssetVersion{SID: value(v.Sid), Path: value(v.Path)}, nil
}

// upload sends a form with a file. twilio-go has none: they go to a host of their
// own.
func (c *Client) upload(ctx context.Context, o op, path string, body []byte, contentType string, into any) error {
	address, err := c.url(uploadURL + path)
	if err != nil {
		return c.problem(ctx, o, err)
	}
	r := request{method: http.MethodPost, url: address, body: body, header: map[string]any{"Content-Type": contentType}}
	err = c.send(ctx, o, r, func(_ http.Header, body io.Reader) error { return json.NewDecoder(body).Decode(into) })
	return c.problem(ctx, o, err)
}

// scriptForm writes to memory, which cannot fail.
func scriptForm(path, visibility, name string, content []byte) (body []byte, contentType string) {
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	_ = form.WriteField("Path", path)
	_ = form.WriteField("Visibility", visibility)
	file, _ := form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="Content"; filename="` + name + `"`},
		"Content-Type":        {"application/javascript"},
	})
	_, _ = file.Write(content)
	_ = form.Close()
	return b.Bytes(), form.FormDataContentType()
}

// Builds lists the builds of a service.
func (c *Client) Builds(ctx context.Context, serviceSID string) ([]twilio.Build, error) {
	o := op{what: "list the builds of " + twilio.Short(serviceSID), repeat: always}
	if err := checkSID("ZS", serviceSID); err != nil {
		return nil, err
	}
	return list(ctx, c, o, serverlessURL+"/v1/Services/"+serviceSID+"/Builds", "builds", build)
}

// Build fetches one build.
func (c *Client) Build(ctx context.Context, serviceSID, sid string) (twilio.Build, error) {
	o := op{what: "read build " + twilio.Short(sid) + " of " + twilio.Short(serviceSID), repeat: always}
	if err := checkSID("ZS", serviceSID); err != nil {
		return twilio.Build{}, err
	}
	if err := checkSID("ZB", sid); err != nil {
		return twilio.Build{}, err
	}
	b, err := c.serverless(ctx, o).FetchBuild(serviceSID, sid)
	if err != nil {
		return twilio.Build{}, c.problem(ctx, o, err)
	}
	return build(b), nil
}

// CreateBuild starts a build of exactly the files of b.
func (c *Client) CreateBuild(ctx context.Context, serviceSID string, b twilio.Build) (twilio.Build, error) {
	o := op{what: "start a build of " + twilio.Short(serviceSID), repeat: never}
	if err := checkSID("ZS", serviceSID); err != nil {
		return twilio.Build{}, err
	}
	var assets []string
	for _, v := range b.Assets {
		assets = append(assets, v.SID)
	}
	params := (&serverless.CreateBuildParams{}).SetAssetVersions(assets).SetFunctionVersions(b.Functions).SetRuntime(b.Runtime)
	if b.Dependencies != "" && b.Dependencies != "[]" {
		params.SetDependencies(b.Dependencies)
	}
	made, err := c.serverless(ctx, o).CreateBuild(serviceSID, params)
	if err != nil {
		return twilio.Build{}, c.problem(ctx, o, err)
	}
	return build(made), nil
}

// Deploy puts a completed build with a plugin into an environment. Doing so twice
// changes nothing.
func (c *Client) Deploy(ctx context.Context, serviceSID, environmentSID, buildSID string) error {
	return c.deploy(ctx, serviceSID, environmentSID, buildSID, true)
}

func (c *Client) deploy(ctx context.Context, serviceSID, environmentSID, buildSID string, plugin bool) error {
	o := op{what: "deploy build " + twilio.Short(buildSID) + " to " + twilio.Short(environmentSID), repeat: always}
	if err := checkSID("ZS", serviceSID); err != nil {
		return err
	}
	if err := checkSID("ZE", environmentSID); err != nil {
		return err
	}
	params := (&serverless.CreateDeploymentParams{}).SetBuildSid(buildSID)
	if plugin {
		params.SetIsPlugin(true)
	}
	_, err := c.serverless(ctx, o).CreateDeployment(serviceSID, environmentSID, params)
	return c.problem(ctx, o, err)
}

// DeleteService removes a service with all that it holds.
func (c *Client) DeleteService(ctx context.Context, sid string) error {
	o := op{what: "delete Serverless service " + twilio.Short(sid), repeat: always}
	if err := checkSID("ZS", sid); err != nil {
		return err
	}
	return c.problem(ctx, o, c.serverless(ctx, o).DeleteService(sid))
}

// DeleteEnvironment removes an environment; its build stays.
func (c *Client) DeleteEnvironment(ctx context.Context, serviceSID, sid string) error {
	return c.deletePart(ctx, "environment", "ZE", serviceSID, sid, (*serverless.ApiService).DeleteEnvironment)
}

// DeleteBuild removes a build that is not deployed.
func (c *Client) DeleteBuild(ctx context.Context, serviceSID, sid string) error {
	return c.deletePart(ctx, "build", "ZB", serviceSID, sid, (*serverless.ApiService).DeleteBuild)
}

// DeleteAsset removes an asset with its versions.
func (c *Client) DeleteAsset(ctx context.Context, serviceSID, sid string) error {
	return c.deletePart(ctx, "asset", "ZH", serviceSID, sid, (*serverless.ApiService).DeleteAsset)
}

func (c *Client) deletePart(ctx context.Context, what, kind, serviceSID, sid string, remove func(*serverless.ApiService, string, string) error) error {
	o := op{what: "delete " + what + " " + twilio.Short(sid) + " of " + twilio.Short(serviceSID), repeat: always}
	if err := checkSID("ZS", serviceSID); err != nil {
		return err
	}
	if err := checkSID(kind, sid); err != nil {
		return err
	}
	return c.problem(ctx, o, remove(c.serverless(ctx, o), serviceSID, sid))
}

func (c *Client) serverless(ctx context.Context, o op) *serverless.ApiService {
	return serverless.NewApiService(c.handler(session{c, ctx, o}))
}

// list reads all pages and turns every row into ours.
func list[Row, Ours any](ctx context.Context, c *Client, o op, path, key string, ours func(*Row) Ours) ([]Ours, error) {
	address, err := c.url(listURL(path, url.Values{}))
	if err != nil {
		return nil, c.problem(ctx, o, err)
	}
	var all []Ours
	for row, err := range rows[Row](ctx, c, o, address, key) {
		if err != nil {
			return nil, err
		}
		all = append(all, ours(&row))
	}
	return all, nil
}

func service(s *serverless.ServerlessV1Service) twilio.Service {
	return twilio.Service{SID: value(s.Sid), UniqueName: value(s.UniqueName), FriendlyName: value(s.FriendlyName), Credentials: value(s.IncludeCredentials)}
}

func environment(e *serverless.ServerlessV1Environment) twilio.Environment {
	return twilio.Environment{SID: value(e.Sid), UniqueName: value(e.UniqueName), DomainName: value(e.DomainName), BuildSID: value(e.BuildSid)}
}

func asset(a *serverless.ServerlessV1Asset) twilio.Asset {
	return twilio.Asset{SID: value(a.Sid), FriendlyName: value(a.FriendlyName)}
}

func build(b *serverless.ServerlessV1Build) twilio.Build {
	made := twilio.Build{SID: value(b.Sid), Status: twilio.BuildStatus(value(b.Status)), Runtime: value(b.Runtime), Created: value(b.DateCreated)}
	for _, row := range value(b.AssetVersions) {
		made.Assets = append(made.Assets, twilio.AssetVersion{SID: text(row, "sid"), Path: text(row, "path")})
	}
	for _, row := range value(b.FunctionVersions) {
		made.Functions = append(made.Functions, text(row, "sid"))
		made.FunctionSIDs = append(made.FunctionSIDs, text(row, "function_sid"))
	}
	if all := value(b.Dependencies); len(all) > 0 {
		// They come from JSON, so they go back into it.
		encoded, _ := json.Marshal(all)
		made.Dependencies = string(encoded)
	}
	return made
}

// text is a member of an object for which twilio-go has no type.
func text(object any, name string) string {
	if m, ok := object.(map[string]any); ok && m[name] != nil {
		return fmt.Sprint(m[name])
	}
	return ""
}
