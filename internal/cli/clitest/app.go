package clitest

import (
	"bytes"
	"crypto/rand"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/ui"
)

// printed collects what a command prints while it still runs.
type Output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (p *Output) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(text)
}

func (p *Output) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.String()
}

// appIn is an App whose home is dir and whose profile is the emulator.
func App(dir string, out io.Writer) *cli.App {
	app := &cli.App{
		UI: ui.Fake(strings.NewReader(""), out, out, false, 80),
		Getenv: func(name string) string {
			return map[string]string{"HOME": dir, "FLEXVC_STATE_DIR": dir, "FLEXVC_PROFILE": "emulator"}[name]
		},
		Now:    time.Now,
		Sleep:  cli.Sleep,
		Random: rand.Reader,
	}
	app.Open = app.OpenSession
	return app
}

func Quiet() *cli.App {
	return &cli.App{
		UI:     ui.Fake(strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{}, false, 80),
		Getenv: func(string) string { return "" },
		Now:    func() time.Time { return time.Unix(0, 0) },
	}
}
