package clitest

import (
	"context"
	"io"
	"net/url"
	"testing"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/provision"
	"github.com/flexvc/flexvc/internal/twilio"
	"github.com/flexvc/flexvc/internal/twilioapi"
)

// Twilio is a client of the emulated account, for what others do there.
func Twilio(t testing.TB, e *emulator.Emulator) *twilioapi.Client {
	t.Helper()
	app := App(t.TempDir(), io.Discard)
	app.Global.Profile = "emulator"
	s, err := app.Emulated(context.Background(), cli.SessionOptions{}, e.Account(), &url.URL{Scheme: "http", Host: "127.0.0.1"}, e.Transport(), func() error { return nil })
	Check(t, err)
	return s.Client
}

// ReleasePlugin has Flex load the plugin, and nothing else.
func ReleasePlugin(t testing.TB, e *emulator.Emulator) {
	t.Helper()
	Check(t, LoadPlugin(context.Background(), Twilio(t, e)))
}

// LoadPlugin does so with a client.
func LoadPlugin(ctx context.Context, c *twilioapi.Client) error {
	p, err := c.CreatePlugin(ctx, provision.PluginName, provision.PluginName, "")
	if err != nil {
		return err
	}
	v, err := c.CreatePluginVersion(ctx, p.SID, twilio.PluginVersion{Version: "1.0.0", URL: "https://plugins.example.com/1.0.0"})
	if err != nil {
		return err
	}
	return release(ctx, c, twilio.ConfiguredPlugin{VersionSID: v.SID, Phase: 3})
}

// ReleaseInPhase has Flex start the plugins that it loads in another phase.
func ReleaseInPhase(t testing.TB, e *emulator.Emulator, phase int) {
	t.Helper()
	ctx, c := context.Background(), Twilio(t, e)
	releases, err := c.Releases(ctx)
	Check(t, err)
	rows, err := c.ConfiguredPlugins(ctx, releases[0].ConfigurationSID)
	Check(t, err)
	for i := range rows {
		rows[i].Phase = phase
	}
	Check(t, release(ctx, c, rows...))
}

// ReleaseNothing has Flex load no plugin.
func ReleaseNothing(t testing.TB, e *emulator.Emulator) {
	t.Helper()
	Check(t, release(context.Background(), Twilio(t, e)))
}

func release(ctx context.Context, c *twilioapi.Client, plugins ...twilio.ConfiguredPlugin) error {
	configuration, err := c.CreateConfiguration(ctx, "test", "", plugins)
	if err == nil {
		_, err = c.CreateRelease(ctx, configuration)
	}
	return err
}
