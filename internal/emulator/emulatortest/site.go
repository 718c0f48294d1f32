package emulatortest

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/textproto"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/emulator"
)

// Where Serverless is asked.
const (
	ServerlessURL = "https://serverless.twilio.com/v1/Services"
	UploadURL     = "https://serverless-upload.twilio.com/v1/Services"
)

// Upload sends a file the way Twilio's own tools do.
func (c *Client) Upload(target, path, visibility, content string) Answer {
	c.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	Must(c, form.WriteField("Path", path))
	Must(c, form.WriteField("Visibility", visibility))
	part, err := form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="Content"; filename="bundle.js"`}, "Content-Type": {"application/javascript"},
	})
	Must(c, err)
	_, err = part.Write([]byte(content))
	Must(c, err)
	Must(c, form.Close())
	return c.Must("POST", target, form.FormDataContentType(), body.String())
}

// Site is one service with one environment.
type Site struct {
	*Client
	Service, Environment, Domain string
}

// NewSite makes a service and an environment.
func NewSite(t testing.TB, e *emulator.Emulator) Site {
	t.Helper()
	c := As(t, e)
	zs := ServerlessURL + "/" + c.Post(ServerlessURL, []string{"UniqueName", "default", "FriendlyName", "Flex Plugins"}).Made(t)
	env := c.Post(zs+"/Environments", []string{"UniqueName", "my-plugin", "DomainSuffix", "ab1"}).Want(t, 201).JSON(t)
	return Site{c, zs, zs + "/Environments/" + env["sid"].(string), env["domain_name"].(string)}
}

// Version uploads one version of a new asset or function.
func (s Site) Version(t testing.TB, collection, path, visibility, content string) string {
	t.Helper()
	zh := s.Post(s.Service+"/"+collection, []string{"FriendlyName", path}).Made(t)
	return s.Upload(strings.Replace(s.Service, ServerlessURL, UploadURL, 1)+"/"+collection+"/"+zh+"/Versions", path, visibility, content).Made(t)
}

// Deploy builds the versions and deploys them.
func (s Site) Deploy(t testing.TB, form ...string) string {
	t.Helper()
	zb := s.Post(s.Service+"/Builds", form).Made(t)
	s.Post(s.Environment+"/Deployments", []string{"BuildSid", zb, "IsPlugin", "true"}).Want(t, 201)
	return zb
}

// PluginsURL is where the Plugins API is asked.
const PluginsURL = "https://flex-api.twilio.com/v1/PluginService"

// PluginVersion makes a version of a plugin.
func (c *Client) PluginVersion(t testing.TB, plugin, version string) string {
	t.Helper()
	return c.Post(PluginsURL+"/Plugins/"+plugin+"/Versions", []string{
		"Version", version, "PluginUrl", "https://example.com/" + version, "Private", "false", "ValidateStatus", "success",
	}).Made(t)
}

// Configure makes a configuration of versions of plugins.
func (c *Client) Configure(t testing.TB, versions ...string) string {
	t.Helper()
	fields := []string{"Name", "n"}
	for _, fv := range versions {
		fields = append(fields, "Plugins", fmt.Sprintf(`{"plugin_version":%q,"phase":3}`, fv))
	}
	return c.Post(PluginsURL+"/Configurations", fields).Made(t)
}
