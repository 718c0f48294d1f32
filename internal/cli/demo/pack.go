package demo

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/flexvc/flexvc/extension"
	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/ui"
)

// pack packs the extension, has the file explained, and shows the policy by
// which browsers install it. It returns the package, or "" when this flexvc has
// none to pack.
func (d *demo) pack(ctx context.Context) (string, error) {
	out := d.app.UI
	if !extension.HasVoiceSDK() {
		out.Chat("\n%s\n", out.Paint(out.Out, ui.Faint, "# The extension would be packed here, but this flexvc was built without the Voice SDK (npm fetches it)."))
		return "", nil
	}
	file, policy := filepath.Join(d.dir, "flexvc.crx"), filepath.Join(d.dir, "rollout")
	err := d.tell(ctx, []scene{
		{"The signed extension, with the policies that install it in browsers.", []string{"pack", "--out", file, "--policy", policy, "--update-url", "https://voice.acme.example/extension/update.xml"}},
	})
	if err == nil {
		err = d.verify(ctx, "pack", "--verify", file, "--policy", policy)
	}
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(policy, "linux.json"))
	if err != nil {
		return "", problem.New(problem.Internal, "cannot read the demo's policy: %w", problem.Reason(err))
	}
	out.Chat("\n%s\n%s\n", out.Paint(out.Out, ui.Faint, "# This is all a Linux machine needs. Agents install nothing and are never prompted for the microphone."),
		out.Paint(out.Out, ui.Strong, "$ cat "+filepath.Join(policy, "linux.json")))
	out.Printf("%s\n", bytes.TrimSpace(text))
	return file, nil
}

// verify has the package explained, and leaves out the long list of its files.
func (d *demo) verify(ctx context.Context, args ...string) error {
	d.announce("Would a browser accept it? This checks signatures, every file, and update.xml.", args...)
	out := d.app.UI
	var said bytes.Buffer
	app := d.command()
	app.UI = ui.Fake(strings.NewReader(""), &said, out.Err, true, out.Width())
	if code := app.Run(ctx, args); code != problem.ExitDone {
		return cli.Told(problem.New(problem.Internal, "the demo's command %v ended with exit code %d", args, code))
	}
	head, files, _ := strings.Cut(said.String(), "\n\n")
	out.Printf("%s\n", head)
	out.Chat("%s and %s with their checksums\n", out.Ellipsis(), ui.Plural(max(strings.Count(files, "\n")-1, 0), "file"))
	return nil
}
