//go:build !voice

package emulator

import (
	"net"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/emulator"
	"github.com/flexvc/flexvc/internal/emulator/flexui"
)

// The voice edge is in builds with -tags voice, as make e2e makes one: pion's
// packages take half a millisecond to initialise, at every start of every
// command, and with them flexvc --version is no longer within three times an
// empty program's time.

func addVoice(*cobra.Command, *options) {}

// VoiceEdge is none.
type VoiceEdge struct {
	address, spki string
	Stop          func() error
	Handler       http.Handler
	Phone         flexui.Phone
}

func (*VoiceEdge) browserFlags() []string { return nil }

// ServeVoice serves nothing: Flex UI's tasks are accepted without a sound.
func ServeVoice(*cli.App, *emulator.Emulator, net.Listener, string) (*VoiceEdge, error) {
	return &VoiceEdge{Stop: func() error { return nil }}, nil
}
