package serve

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/flexvc/flexvc/internal/cli"
	"github.com/flexvc/flexvc/internal/problem"
	"github.com/flexvc/flexvc/internal/tokensrv"
)

// open binds every socket before anything says that it listens. Sockets that
// systemd passes take the place of the two flags.
func (o *Options) open() (l tokensrv.Listeners, where string, err error) {
	inherited, err := tokensrv.Inherited(func(name string) (string, bool) {
		text := o.App.Getenv(name)
		return text, text != ""
	}, os.Getpid())
	if err != nil {
		return l, "", err
	}
	var secure *tls.Config
	if o.tlsCert != "" || o.tlsKey != "" {
		if o.tlsCert == "" || o.tlsKey == "" {
			return l, "", cli.Usagef("--tls-cert and --tls-key must be used together")
		}
		log, err := o.log()
		if err != nil {
			return l, "", err
		}
		if secure, err = tokensrv.LoadTLS(o.tlsCert, o.tlsKey, log, o.App.Now); err != nil {
			return l, "", err
		}
		o.secure.Store(secure)
	}
	defer func() {
		if err != nil {
			for _, ln := range l.Public {
				ln.Close()
			}
		}
	}()
	if l.Public = inherited["public"]; len(l.Public) == 0 {
		if err := tokensrv.CheckListen(o.Listen, secure != nil, o.behindProxy); err != nil {
			return l, "", err
		}
		ln, err := tokensrv.Listen(o.Listen)
		if err != nil {
			return l, "", err
		}
		l.Public = []net.Listener{ln}
	}
	where = placeOf(l.Public[0], secure != nil, "/generateToken")
	l.TLS = secure
	switch admin := inherited["admin"]; {
	case len(admin) > 0:
		l.Admin = admin[0]
	case o.MetricsListen != "none":
		if l.Admin, err = tokensrv.Listen(o.MetricsListen); err != nil {
			return l, "", metricsProblem(err)
		}
	}
	if l.Admin != nil {
		where += "     metrics on " + placeOf(l.Admin, false, "/metrics")
	}
	return l, where, nil
}

// writeExpiry writes until when the certificate that is served now is valid.
func (o *Options) writeExpiry(w io.Writer) {
	secure := o.secure.Load()
	if secure == nil {
		return
	}
	certificate, err := secure.GetCertificate(nil)
	if err == nil && certificate.Leaf != nil {
		fmt.Fprintf(w, "flexvc_tls_certificate_expiry_timestamp_seconds %d\n", certificate.Leaf.NotAfter.Unix())
	}
}

func metricsProblem(err error) error {
	if p := problem.As(err); p != nil && p.Hint == "" {
		return p.WithHint("choose another address with --metrics-listen, or none")
	}
	return err
}

// placeOf is a listener's URL, or the path of its socket.
func placeOf(ln net.Listener, secure bool, path string) string {
	if ln.Addr().Network() == "unix" {
		return "unix:" + ln.Addr().String()
	}
	scheme := "http"
	if secure {
		scheme = "https"
	}
	return scheme + "://" + ln.Addr().String() + path
}

func rateText(r tokensrv.Rate) string {
	return strconv.FormatFloat(r.PerSecond, 'g', -1, 64) + "," + strconv.Itoa(r.Burst)
}

// parseRate reads "5,20": five a second, twenty at once; or "none".
func parseRate(flag, text string) (tokensrv.Rate, error) {
	if text == "none" {
		return tokensrv.Rate{}, nil
	}
	perSecond, burst, _ := strings.Cut(text, ",")
	rate, err := strconv.ParseFloat(perSecond, 64)
	n, errBurst := strconv.Atoi(burst)
	if err != nil || errBurst != nil {
		return tokensrv.Rate{}, cli.Usagef("%s %q is neither a rate and burst such as 5,20 nor none", flag, text)
	}
	return tokensrv.Rate{PerSecond: rate, Burst: n}, nil
}

// parsePrefix reads an address range, or one address.
func parsePrefix(text string) (netip.Prefix, error) {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return prefix, nil
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, cli.Usagef("--trusted-proxy %q is not an address or a range like 10.0.0.0/8", text)
	}
	return netip.PrefixFrom(addr, addr.BitLen()), nil
}
