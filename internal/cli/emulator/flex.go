package emulator

import (
	"context"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/certificate"
	"github.com/flexvc/flexvc/internal/emulator/flexapi"
	"github.com/flexvc/flexvc/internal/emulator/flexui"
	"github.com/flexvc/flexvc/internal/problem"
)

// FlexAddress is where Flex UI is, for a browser that takes the emulator for
// Twilio. The extension and the plugin know it under this name only.
const FlexAddress = "https://flex.twilio.com/"

// FlexDesk is the back end of Flex UI beside a running emulator; the zero value
// is none.
type FlexDesk struct {
	address string
	SPKI    string // hash of its certificate's key
	Stop    func() error

	Reservations func() []flexui.Reservation
}

// serveFlex starts the back end of Flex UI, which serves every Twilio host that
// a browser with Flex, the plugin and the extension asks.
func (o *options) serveFlex(e *emulator.Emulator, listener net.Listener, dir string, edge *VoiceEdge) (*FlexDesk, error) {
	plugins, err := readPlugins(o.flexPlugins)
	if err != nil {
		return nil, err
	}
	return ServeFlexUI(o.app, e, listener, dir, flexui.Options{
		Emulator: e, Phone: edge.Phone, Voice: edge.Handler, HostScript: o.flexScript,
		Plugins: func() []flexui.Plugin { return append(Released(e, plugins), plugins...) },
		Log:     o.app.Log(),
	})
}

// ServeFlexUI serves with the certificate of the folder.
func ServeFlexUI(app *cli.App, e *emulator.Emulator, listener net.Listener, dir string, options flexui.Options) (*FlexDesk, error) {
	if options.HostScript != "" {
		if _, err := os.Stat(options.HostScript); err != nil {
			return nil, problem.New(problem.InputUnreadable, "cannot read Flex UI's script %s: %w", options.HostScript, problem.Reason(err)).
				WithHint("build it with: make flex-host")
		}
	}
	cert, err := certificate.Load(dir, app.Now())
	if err != nil {
		return nil, err
	}
	server := flexui.New(options)
	e.Mount("flex", server.Control())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, listener, cert) }()
	return &FlexDesk{
		address: listener.Addr().String(),
		SPKI:    certificate.SPKI(cert),
		Stop: func() error {
			cancel()
			return <-ended
		},
		Reservations: server.Reservations,
	}, nil
}

// readPlugins reads NAME=FILE. The files are read when Flex loads them, so that
// a bundle that was built anew needs no more than a reload of the page.
func readPlugins(given []string) ([]flexui.Plugin, error) {
	var plugins []flexui.Plugin
	for _, text := range given {
		name, file, ok := strings.Cut(text, "=")
		if !ok || name == "" || file == "" || strings.ContainsAny(name, "/?#") {
			return nil, cli.Usagef("--flex-plugin %q is not NAME=FILE", text)
		}
		if _, err := os.Stat(file); err != nil {
			return nil, problem.New(problem.InputUnreadable, "cannot read the plugin %s: %w", file, problem.Reason(err)).
				WithHint("name the built bundle with --flex-plugin %s=FILE", name)
		}
		plugins = append(plugins, flexui.Plugin{Name: name, Version: "0.0.0-file", Source: func() ([]byte, error) { return os.ReadFile(file) }})
	}
	return plugins, nil
}

// Released are the plugins that were released on the emulator, as `flexvc plugin
// deploy` does, but for those that a file stands in for.
func Released(e *emulator.Emulator, files []flexui.Plugin) []flexui.Plugin {
	var plugins []flexui.Plugin
	for _, r := range flexapi.ReleasedPlugins(e) {
		if slices.ContainsFunc(files, func(p flexui.Plugin) bool { return p.Name == r.Name }) {
			continue
		}
		p := flexui.Plugin{Name: r.Name, Version: r.Version, Phase: r.Phase}
		if strings.HasPrefix(r.Src, FlexAddress) {
			p.Source = func() ([]byte, error) {
				bundle, ok := flexapi.PluginBundle(e, r.Name, r.Version)
				if !ok {
					return nil, fs.ErrNotExist
				}
				return bundle, nil
			}
		} else {
			p.URL = r.Src
		}
		plugins = append(plugins, p)
	}
	return plugins
}

// browserFlags make a Chromium take the emulator for Twilio, and reach nothing
// else outside this machine.
func (d *FlexDesk) browserFlags() []string {
	return []string{
		`--host-resolver-rules="MAP *.twilio.com ` + d.address + `, MAP *.twiliocdn.com ` + d.address + `, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"`,
		"--ignore-certificate-errors-spki-list=" + d.SPKI,
	}
}
