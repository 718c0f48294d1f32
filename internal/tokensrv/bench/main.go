// Command bench compares the token server with a bare net/http server that
// validates and mints in the least code, and puts the token server through a
// login storm. It prints figures and asserts nothing.
//
//	go run ./internal/tokensrv/bench
//
// Servers, validator and load run in processes of their own, on loopback, so
// that memory is the server's alone. All share this machine's cores: read the
// ratio, not the requests per second.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

const agents = 10_000

func main() {
	log.SetFlags(0)
	role := flag.String("role", "load", "load, ours, bare or validator; load starts the others")
	upstream := flag.String("upstream", "", "address of the validator")
	delay := flag.Duration("delay", 0, "how long the validator thinks")
	open := flag.Bool("open", false, "lift the rate limits")
	span := flag.Duration("span", 4*time.Second, "length of one measurement; each is taken twice")
	conns := flag.Int("conns", 32, "connections of the load")
	flag.Parse()

	var err error
	switch *role {
	case "ours":
		err = serveOurs(*upstream, *open)
	case "bare":
		err = serveBare(*upstream)
	case "validator":
		err = serveValidator(*delay)
	default:
		err = compare(context.Background(), os.Stdout, *span, *conns)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func compare(ctx context.Context, out io.Writer, span time.Duration, conns int) error {
	fmt.Fprintf(out, "%s, %d cores for servers, validator and load together; %d connections; tokens of %d bytes\n\n",
		runtime.Version(), runtime.NumCPU(), conns, len(flexToken(0)))
	if err := throughput(ctx, out, span, conns); err != nil {
		return err
	}
	return storm(ctx, out)
}

// throughput takes turns, ours and bare, so that a busy moment of the machine
// falls on both.
func throughput(ctx context.Context, out io.Writer, span time.Duration, conns int) error {
	validator, err := start(ctx, "validator")
	if err != nil {
		return err
	}
	defer validator.stop()
	servers := map[string]*process{}
	for _, name := range []string{"bare", "ours"} {
		p, err := start(ctx, name, "-open", "-upstream", validator.addr)
		if err != nil {
			return err
		}
		defer p.stop()
		servers[name] = p
	}

	best := map[string]pace{} // "ours cold" → the better of its turns
	fresh := agents           // the first token number nobody has used
	measure := func(name, cache string, tokens func(i int) int) error {
		got, err := hammer(servers[name], conns, span, tokens)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", name, cache, err)
		}
		if got.perSecond > best[name+" "+cache].perSecond {
			best[name+" "+cache] = got
		}
		return nil
	}
	for range 2 {
		for _, name := range []string{"bare", "ours"} {
			base := fresh
			fresh += 1_000_000
			if err := measure(name, "cold", func(i int) int { return base + i }); err != nil {
				return err
			}
		}
	}
	for range 2 {
		for _, name := range []string{"bare", "ours"} {
			// Verdicts live 60 s, so each turn warms up before it counts.
			if err := visit(servers[name].addr, conns, agents); err != nil {
				return err
			}
			if err := measure(name, "warm", func(i int) int { return i % agents }); err != nil {
				return err
			}
		}
	}

	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "cache\tours req/s\tbare req/s\tratio\tours CPU/req\tbare CPU/req\t")
	for _, cache := range []string{"cold", "warm"} {
		ours, bare := best["ours "+cache], best["bare "+cache]
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.2f\t%s\t%s\t\n", cache, ours.perSecond, bare.perSecond, ours.perSecond/bare.perSecond,
			ours.cpu.Round(100*time.Nanosecond), bare.cpu.Round(100*time.Nanosecond))
	}
	fmt.Fprintf(w, "RSS, %d identities\t%s\t%s\t\t\t\t\n", agents, servers["ours"].memory("VmRSS"), servers["bare"].memory("VmRSS"))
	return w.Flush()
}

// storm is the start of a shift: every agent within ten seconds, each on a
// connection of its own, against default settings.
func storm(ctx context.Context, out io.Writer) error {
	const thinks = 100 * time.Millisecond
	validator, err := start(ctx, "validator", "-delay", thinks.String())
	if err != nil {
		return err
	}
	defer validator.stop()
	server, err := start(ctx, "ours", "-upstream", validator.addr)
	if err != nil {
		return err
	}
	defer server.stop()

	latencies, failures := logIn(server.addr, agents, 10*time.Second)
	calls, err := validator.calls()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nlogin storm: %d agents in 10 s, validator answers after %s\n", agents, thinks)
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "errors\t%d\n", len(failures))
	fmt.Fprintf(w, "p50\t%s\n", percentile(latencies, 50))
	fmt.Fprintf(w, "p99\t%s\n", percentile(latencies, 99))
	fmt.Fprintf(w, "validator calls\t%d\n", calls)
	fmt.Fprintf(w, "RSS after the storm\t%s (peak %s)\n", server.memory("VmRSS"), server.memory("VmHWM"))
	if len(failures) > 0 {
		fmt.Fprintf(w, "first error\t%v\n", failures[0])
	}
	return w.Flush()
}

// flexToken is as long as Flex's own, and names agent n so that the validator
// needs no table.
func flexToken(n int) string {
	return fmt.Sprintf("bench.%s.%d", strings.Repeat("Zm9v", 280), n)
}
