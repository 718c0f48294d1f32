// Package deploy_test holds what the files of this folder promise. What the
// server itself does is tested in internal/tokensrv.
package deploy_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// serveFlags are the options of flexvc serve that these files may use.
var serveFlags = []string{"--listen", "--metrics-listen", "--behind-proxy", "--trusted-proxy", "--redis-url", "--allow-origin", "--output"}

// doc is a parsed YAML document; at walks it, failing the test where there is nothing.
type doc struct {
	t     *testing.T
	where string
	value any
}

func (d doc) at(path ...any) doc {
	d.t.Helper()
	for _, step := range path {
		var next any
		ok := false
		switch step := step.(type) {
		case string:
			var m map[string]any
			if m, ok = d.value.(map[string]any); ok {
				next, ok = m[step]
			}
		case int:
			var l []any
			if l, ok = d.value.([]any); ok && step < len(l) {
				next = l[step]
			} else {
				ok = false
			}
		}
		if !ok {
			d.t.Fatalf("%s: there is no %v in %v", d.where, step, path)
		}
		d.value = next
	}
	return d
}

func (d doc) want(wanted any, path ...any) {
	d.t.Helper()
	if got := d.at(path...).value; got != wanted {
		d.t.Errorf("%s: %v is %v, want %v", d.where, path, got, wanted)
	}
}

func (d doc) strings() []string {
	d.t.Helper()
	list, ok := d.value.([]any)
	if !ok {
		d.t.Fatalf("%s: no list", d.where)
	}
	var out []string
	for _, v := range list {
		s, ok := v.(string)
		if !ok {
			d.t.Fatalf("%s: %v is no text", d.where, v)
		}
		out = append(out, s)
	}
	return out
}

// read parses every document of a YAML file.
func read(t *testing.T, file string) []doc {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []doc
	for dec := yaml.NewDecoder(f); ; {
		var v any
		if err := dec.Decode(&v); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out = append(out, doc{t, file, v})
	}
}

func base(t *testing.T, file string) doc {
	t.Helper()
	return read(t, filepath.Join("kustomize/base", file))[0]
}

func checkFlags(t *testing.T, where string, args []string) {
	t.Helper()
	if len(args) == 0 || args[0] != "serve" {
		t.Fatalf("%s runs %q", where, args)
	}
	for _, a := range args[1:] {
		name, _, _ := strings.Cut(a, "=")
		if strings.HasPrefix(name, "-") && !slices.Contains(serveFlags, name) {
			t.Errorf("%s: flexvc serve has no %s", where, name)
		}
	}
	joined := strings.Join(args, " ")
	for _, must := range []string{"--behind-proxy", "--trusted-proxy", "--output"} {
		if !strings.Contains(joined, must) {
			t.Errorf("%s lacks %s", where, must)
		}
	}
}

func TestKustomizationNamesEveryFile(t *testing.T) {
	named := base(t, "kustomization.yaml").at("resources").strings()
	files, err := filepath.Glob("kustomize/base/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f = filepath.Base(f); f != "kustomization.yaml" && !slices.Contains(named, f) {
			t.Errorf("%s is not applied", f)
		}
	}
	if len(named) != len(files)-1 {
		t.Errorf("named %q, there are %q", named, files)
	}
}

func TestDeployment(t *testing.T) {
	d := base(t, "deployment.yaml")
	pod := d.at("spec", "template", "spec")
	c := pod.at("containers", 0)
	checkFlags(t, d.where, c.at("args").strings())

	c.want("/healthz/ready", "readinessProbe", "httpGet", "path")
	c.want("/healthz/live", "livenessProbe", "httpGet", "path")
	c.want("metrics", "readinessProbe", "httpGet", "port")

	pod.want(false, "automountServiceAccountToken")
	pod.want(true, "securityContext", "runAsNonRoot")
	pod.want("RuntimeDefault", "securityContext", "seccompProfile", "type")
	c.want(false, "securityContext", "allowPrivilegeEscalation")
	c.want(true, "securityContext", "readOnlyRootFilesystem")
	c.want("ALL", "securityContext", "capabilities", "drop", 0)
	c.at("resources", "limits", "memory")
	c.at("resources", "requests", "cpu") // without it the autoscaler has nothing to divide by

	d.want(0, "spec", "strategy", "rollingUpdate", "maxUnavailable")
	sleep := c.at("lifecycle", "preStop", "sleep", "seconds").value.(int)
	if grace := pod.at("terminationGracePeriodSeconds").value.(int); grace < sleep+10+1 {
		t.Errorf("%d s of grace cut off the drain: preStop takes %d, draining 10", grace, sleep)
	}
	if spec := d.at("spec").value.(map[string]any); spec["replicas"] != nil {
		t.Error("replicas is set: every apply would undo the autoscaler")
	}
}

func TestSecretsComeFromASecret(t *testing.T) {
	env := base(t, "deployment.yaml").at("spec", "template", "spec", "containers", 0, "env")
	secret := 0
	for i := range env.value.([]any) {
		e := env.at(i)
		name := e.at("name").value.(string)
		if name == "GOMEMLIMIT" {
			continue
		}
		e.want("flexvc-twilio", "valueFrom", "secretKeyRef", "name")
		secret++
	}
	if secret != 6 {
		t.Errorf("%d variables come from the secret", secret)
	}
}

func TestAutoscalerAndBudgetAgree(t *testing.T) {
	hpa, pdb := base(t, "hpa.yaml"), base(t, "pdb.yaml")
	hpa.want("flexvc", "spec", "scaleTargetRef", "name")
	least, most := hpa.at("spec", "minReplicas").value.(int), hpa.at("spec", "maxReplicas").value.(int)
	stay := pdb.at("spec", "minAvailable").value.(int)
	if least < 3 || most <= least {
		t.Errorf("scales from %d to %d", least, most)
	}
	if stay < 1 || stay >= least {
		t.Errorf("%d of at least %d must stay: a node could never be drained, or all go at once", stay, least)
	}
	pdb.want("flexvc", "spec", "selector", "matchLabels", "app.kubernetes.io/name")
}

func TestServicesReachThePorts(t *testing.T) {
	ports := base(t, "deployment.yaml").at("spec", "template", "spec", "containers", 0, "ports")
	var names []string
	for i := range ports.value.([]any) {
		names = append(names, ports.at(i, "name").value.(string))
	}
	for i, s := range read(t, "kustomize/base/service.yaml") {
		s.want([]string{"http", "metrics"}[i], "spec", "ports", 0, "targetPort")
		if len(s.at("spec", "ports").value.([]any)) != 1 {
			t.Error("metrics and tokens share a Service")
		}
	}
	if !slices.Equal(names, []string{"http", "metrics"}) {
		t.Errorf("ports %q", names)
	}
}

func TestNetworkPolicyIsClosedBothWays(t *testing.T) {
	p := base(t, "networkpolicy.yaml")
	if got := p.at("spec", "policyTypes").strings(); !slices.Equal(got, []string{"Ingress", "Egress"}) {
		t.Errorf("policyTypes %q", got)
	}
	p.want("flexvc", "spec", "podSelector", "matchLabels", "app.kubernetes.io/name")
	for _, direction := range []struct{ rules, peers string }{{"ingress", "from"}, {"egress", "to"}} {
		rules := p.at("spec", direction.rules)
		for i := range rules.value.([]any) {
			if len(rules.at(i, direction.peers).value.([]any)) == 0 || len(rules.at(i, "ports").value.([]any)) == 0 {
				t.Errorf("%s rule %d is open", direction.rules, i)
			}
		}
	}
	world := p.at("spec", "egress", 2)
	world.want(443, "ports", 0, "port")
	if except := world.at("to", 0, "ipBlock", "except").strings(); !slices.Contains(except, "169.254.0.0/16") || !slices.Contains(except, "10.0.0.0/8") {
		t.Errorf("the cluster and its metadata service can be reached: except %q", except)
	}
}

func TestCompose(t *testing.T) {
	c := read(t, "compose.yaml")[0]
	serve := c.at("services", "serve")
	args := serve.at("command").strings()
	checkFlags(t, c.where, args)
	serve.want(3, "deploy", "replicas")
	serve.want(true, "read_only")
	serve.want("ALL", "cap_drop", 0)
	if !slices.Contains(args, "--trusted-proxy="+c.at("networks", "front", "ipam", "config", 0, "subnet").value.(string)) {
		t.Error("the proxy's network is not the trusted one")
	}
	if !slices.Contains(args, "--redis-url=redis://redis:6379/0") {
		t.Error("replicas do not share Redis")
	}
	c.at("services", "redis")
	c.want(true, "networks", "back", "internal")
	c.want("127.0.0.1:8080:8080", "services", "proxy", "ports", 0)
	for name, v := range serve.at("environment").value.(map[string]any) {
		if strings.HasPrefix(name, "TWILIO_") && v != "${"+name+":?}" {
			t.Errorf("%s is %v, not the caller's", name, v)
		}
	}
	caddy, err := os.ReadFile("Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	if regexp.MustCompile(`(?m)^\s*log\b`).Match(caddy) {
		t.Error("the proxy keeps an access log, Flex tokens in queries included")
	}
}

func TestDockerfile(t *testing.T) {
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, final, ok := strings.Cut(string(text), "\nFROM scratch\n")
	if !ok || strings.Contains(final, "FROM ") {
		t.Fatal("the last stage is not scratch")
	}
	for _, line := range []string{"USER 65532:65532", `ENTRYPOINT ["/flexvc"]`, "ca-certificates.crt"} {
		if !strings.Contains(final, line) {
			t.Errorf("the image lacks %s", line)
		}
	}
	if !strings.Contains(string(text), "CGO_ENABLED=0") {
		t.Error("the program would not be static")
	}
}

func TestUnits(t *testing.T) {
	unit := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join("systemd", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	service := unit("flexvc-serve.service")
	for _, line := range []string{
		"DynamicUser=yes", "NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes", "PrivateDevices=yes",
		"CapabilityBoundingSet=", "MemoryDenyWriteExecute=yes", "SystemCallFilter=@system-service", "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
		"Sockets=flexvc-serve.socket flexvc-metrics.socket", "TimeoutStopSec=15", "EnvironmentFile=/etc/flexvc/serve.env", "ExecReload=/bin/kill -HUP $MAINPID",
	} {
		if !strings.Contains(service, "\n"+line+"\n") {
			t.Errorf("the service lacks %s", line)
		}
	}
	command := regexp.MustCompile(`(?m)^ExecStart=\S+/flexvc (.+)$`).FindStringSubmatch(service)
	if command == nil {
		t.Fatal("the service starts something else")
	}
	checkFlags(t, "flexvc-serve.service", strings.Fields(command[1]))
	for name, line := range map[string]string{"flexvc-serve.socket": "FileDescriptorName=public", "flexvc-metrics.socket": "FileDescriptorName=admin"} {
		text := unit(name)
		if !strings.Contains(text, line) || !strings.Contains(text, "Service=flexvc-serve.service") || !strings.Contains(text, "ListenStream=127.0.0.1:") {
			t.Errorf("%s: %s", name, text)
		}
	}

	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Log("systemd-analyze is not installed: directives are not checked by systemd itself")
		return
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", "systemd/flexvc-serve.service").CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "Unknown key") || strings.Contains(line, "Failed to parse") {
			t.Errorf("%s (%v)", strings.TrimSpace(line), err)
		}
	}
}

// Nothing that looks like a credential belongs here, not even an example.
func TestNoSecretsInTheFolder(t *testing.T) {
	secret := regexp.MustCompile(`\b(AC|SK)[0-9a-f]{32}\b|\b[0-9a-f]{32}\b|eyJ[A-Za-z0-9_-]{10,}|-----BEGIN`)
	seen := 0
	err := filepath.WalkDir(".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		seen++
		if found := secret.Find(text); found != nil {
			t.Errorf("%s holds what looks like a credential: %.6s…", path, found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 10 {
		t.Errorf("only %d files were read", seen)
	}
}
