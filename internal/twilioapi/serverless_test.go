package twilioapi

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/flexvc/flexvc/internal/problem"
)

const (
	serviceSID = "ZS00000000000000000000000000000001"
	assetSID   = "ZH00000000000000000000000000000001"
	fileSID    = "ZN00000000000000000000000000000001"
)

func TestUploadScript(t *testing.T) {
	c := atOnce(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		want := "https://serverless-upload.twilio.com/v1/Services/" + serviceSID + "/Assets/" + assetSID + "/Versions"
		if r.Method != http.MethodPost || r.URL.String() != want {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		if err := r.ParseMultipartForm(1 << 20); err != nil {
			return nil, err
		}
		file, header, err := r.FormFile("Content")
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(file)
		if err != nil {
			return nil, err
		}
		if r.PostForm.Get("Path") != "/p/bundle.js" || r.PostForm.Get("Visibility") != "protected" ||
			header.Header.Get("Content-Type") != "application/javascript" || string(content) != "let x = '✓'" {
			t.Errorf("the form is %v %v %q", r.PostForm, header.Header, content)
		}
		return respond(201, `{"sid":"`+fileSID+`","path":"/p/bundle.js","visibility":"protected"}`), nil
	}))
	v, err := c.UploadScript(t.Context(), serviceSID, assetSID, "/p/bundle.js", []byte("let x = '✓'"))
	if err != nil || v.SID != fileSID || v.Path != "/p/bundle.js" {
		t.Errorf("uploaded %+v, %v", v, err)
	}
}

// TestWhatCannotBeTakenBackIsSentOnce: a lost answer to one of these may have
// made something.
func TestWhatCannotBeTakenBackIsSentOnce(t *testing.T) {
	sent := 0
	c := atOnce(t, roundTripper(func(*http.Request) (*http.Response, error) {
		sent++
		return nil, errors.New("connection reset")
	}))
	ctx := t.Context()
	for name, do := range map[string]func() error{
		"upload":  func() error { _, err := c.UploadScript(ctx, serviceSID, assetSID, "/p", nil); return err },
		"asset":   func() error { _, err := c.CreateAsset(ctx, serviceSID, "a"); return err },
		"release": func() error { _, err := c.CreateRelease(ctx, "FJ00000000000000000000000000000001"); return err },
	} {
		sent = 0
		if err := do(); sent != 1 || !problem.Is(err, problem.NetworkUnreachable) || !strings.Contains(problem.As(err).Detail, "it may have been created anyway") {
			t.Errorf("%s: sent %d times, %+v", name, sent, err)
		}
	}
}

// TestServicesAreRegisteredAlone: the configuration holds much that is not ours.
func TestServicesAreRegisteredAlone(t *testing.T) {
	c := atOnce(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		want := `{"account_sid":"` + account + `","serverless_service_sids":["` + serviceSID + `"]}`
		if r.Header.Get("Content-Type") != "application/json" || string(body) != want {
			t.Errorf("sent %s %s", r.Header.Get("Content-Type"), body)
		}
		return respond(200, `{"account_sid":"`+account+`"}`), nil
	}))
	if err := c.RegisterServices(t.Context(), []string{serviceSID}); err != nil {
		t.Error(err)
	}
}

func TestNamesThatWouldLeaveThePathAreRefused(t *testing.T) {
	c := atOnce(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		t.Errorf("asked for %s", r.URL)
		return respond(404, `{}`), nil
	}))
	if _, err := c.Plugin(t.Context(), "../Releases"); !problem.Is(err, problem.Usage) {
		t.Errorf("the error is %v", err)
	}
	if _, err := c.Assets(t.Context(), "ZS/../x"); !problem.Is(err, problem.Usage) {
		t.Errorf("the error is %v", err)
	}
}
