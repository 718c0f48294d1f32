// Command bench compares the token server with a bare net/http server that
// validates and mints in the least code, and puts the token server through login
// storms and attacks. It prints figures and asserts nothing.
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
	role := flag.String("role", "load", "load, ours, bare, validator or attacker; load starts the others")
	upstream := flag.String("upstream", "", "address of the validator")
	delay := flag.Duration("delay", 0, "how long the validator thinks")
	open := flag.Bool("open", false, "lift the rate limits")
	required := flag.Bool("required", false, "admit enabled workers with a role only")
	target := flag.String("target", "", "whom the attacker attacks")
	posts := flag.Int("posts", 0, "posts of 4 MiB without the last byte")
	idle := flag.Int("idle", 0, "connections that say nothing")
	only := flag.String("only", "", "one of throughput, storm, required, crowd, connections, garbage")
	span := flag.Duration("span", 4*time.Second, "length of one measurement; each is taken twice")
	conns := flag.Int("conns", 32, "connections of the load")
	flag.Parse()

	var err error
	switch *role {
	case "ours":
		err = serveOurs(*upstream, *open, *required)
	case "bare":
		err = serveBare(*upstream)
	case "validator":
		err = serveValidator(*delay)
	case "attacker":
		err = attack(*target, *posts, *idle)
	default:
		err = compare(context.Background(), os.Stdout, *only, *span, *conns)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func compare(ctx context.Context, out io.Writer, only string, span time.Duration, conns int) error {
	fmt.Fprintf(out, "%s, %d cores for servers, validator and load together; %d connections; tokens of %d bytes\n\n",
		runtime.Version(), runtime.NumCPU(), conns, len(flexToken(0)))
	for _, part := range []struct {
		name string
		run  func() error
	}{
		{"throughput", func() error { return throughput(ctx, out, span, conns) }},
		{"storm", func() error { return storm(ctx, out, "login storm", agents, 1) }},
		{"required", func() error {
			return storm(ctx, out, "login storm, --require-enabled and --require-role", agents, 1, "-required")
		}},
		{"crowd", func() error { return storm(ctx, out, "login storm from ten sites", 5*agents, 10) }},
		{"connections", func() error { return connections(ctx, out) }},
		{"garbage", func() error { return garbage(ctx, out) }},
	} {
		if only != "" && only != part.name {
			continue
		}
		if err := part.run(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
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

// storm is the start of a shift: n agents within ten seconds, each on a connection
// of its own, from as many addresses as there are sites, against default settings.
func storm(ctx context.Context, out io.Writer, title string, n, sites int, flags ...string) error {
	const thinks = 100 * time.Millisecond
	validator, err := start(ctx, "validator", "-delay", thinks.String())
	if err != nil {
		return err
	}
	defer validator.stop()
	server, err := start(ctx, "ours", append(flags, "-upstream", validator.addr)...)
	if err != nil {
		return err
	}
	defer server.stop()

	latencies, failures := logIn(server.addr, n, 10*time.Second, sites)
	calls, err := validator.calls()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%s: %d agents in 10 s, validator answers after %s\n", title, n, thinks)
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "errors\t%d\n", len(failures))
	fmt.Fprintf(w, "p50\t%s\n", percentile(latencies, 50))
	fmt.Fprintf(w, "p99\t%s\n", percentile(latencies, 99))
	fmt.Fprintf(w, "validator calls\t%d\n", calls)
	if len(flags) > 0 {
		others, err := server.count("http://" + server.addr + pathRequests)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "other requests to Twilio\t%d (N/1000 + 1%% = %d)\n", others, n/1000+n/100)
	}
	fmt.Fprintf(w, "RSS after the storm\t%s (peak %s)\n", server.memory("VmRSS"), server.memory("VmHWM"))
	if len(failures) > 0 {
		fmt.Fprintf(w, "first error\t%v\n", failures[0])
	}
	return w.Flush()
}

// flexToken is as long as Flex's own, and names agent n so that the validator
// needs no table.
func flexToken(n int) string {
	return fmt.Sprintf("eyJhbGciOiJkaXIifQ..aXY.%s.%d", strings.Repeat("Zm9v", 280), n)
}
