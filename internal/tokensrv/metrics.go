package tokensrv

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sony/gobreaker/v2"

	"github.com/flexvc/flexvc/internal/buildinfo"
)

// metrics are the figures on /metrics. What every request touches is resolved
// once, here, not looked up by label on the way.
type metrics struct {
	registry *prometheus.Registry

	issued   prometheus.Counter
	refused  map[reason]prometheus.Counter
	requests *prometheus.CounterVec
	tokenOK  prometheus.Counter             // the one of requests that matters
	duration map[string]prometheus.Observer // by route name
	inFlight prometheus.Gauge

	cacheHit, cacheShared, cacheMiss prometheus.Counter

	answers       *prometheus.CounterVec
	validatorTime prometheus.Histogram
	breaker       prometheus.Gauge
	drift         prometheus.Gauge
	redisUp       prometheus.Gauge
	redisErrors   prometheus.Counter
}

func newMetrics(routes []string) *metrics {
	reg := prometheus.NewRegistry()
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "flexvc_" + name, Help: help})
		reg.MustRegister(c)
		return c
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "flexvc_" + name, Help: help}, labels)
		reg.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "flexvc_" + name, Help: help})
		reg.MustRegister(g)
		return g
	}
	seconds := []float64{.001, .0025, .005, .01, .025, .05, .1, .2, .4, .8, 1.6, 3.2, 6.4}

	m := &metrics{registry: reg, refused: map[reason]prometheus.Counter{}, duration: map[string]prometheus.Observer{}}
	m.issued = counter("tokens_issued_total", "Voice tokens minted and sent.")
	refused := counters("tokens_refused_total", "Requests that got no voice token, by reason.", "reason")
	for r := range refusals {
		m.refused[r] = refused.WithLabelValues(string(r))
	}
	m.requests = counters("http_requests_total", "Answered requests.", "route", "code")
	m.tokenOK = m.requests.WithLabelValues(routeToken, "200")
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "flexvc_http_request_duration_seconds", Help: "From the request's headers read to its answer written.", Buckets: seconds}, []string{"route"})
	reg.MustRegister(duration)
	for _, name := range routes {
		m.duration[name] = duration.WithLabelValues(name)
	}
	m.inFlight = gauge("http_requests_in_flight", "Requests being answered.")
	lookups := counters("verdict_lookups_total", "Where the verdict on a Flex token came from: memory, redis, or twilio.", "from")
	m.cacheHit, m.cacheShared, m.cacheMiss = lookups.WithLabelValues("memory"), lookups.WithLabelValues("redis"), lookups.WithLabelValues("twilio")
	m.answers = counters("validator_answers_total", "Answers of Twilio's validator, by what they meant and how they looked.", "outcome", "shape")
	m.validatorTime = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "flexvc_validator_duration_seconds", Help: "How long Twilio's validator took.", Buckets: seconds})
	reg.MustRegister(m.validatorTime)
	m.breaker = gauge("validator_circuit", "Circuit breaker before the validator: 0 closed, 1 half open, 2 open.")
	m.drift = gauge("clock_drift_seconds", "This machine's clock minus Twilio's; above 30 either way tokens may be refused.")
	m.redisUp = gauge("redis_up", "1 while limits and cache are shared through Redis.")
	m.redisErrors = counter("redis_errors_total", "Redis commands that failed or were not tried because it is down.")

	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "flexvc_build_info", Help: "Always 1.", ConstLabels: prometheus.Labels{"version": buildinfo.Version}})
	build.Set(1)
	reg.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

func (m *metrics) answered(route string, status int, took time.Duration) {
	if route == routeToken && status == http.StatusOK {
		m.tokenOK.Inc()
	} else {
		m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	}
	m.duration[route].Observe(took.Seconds())
}

func (m *metrics) validator(err error, took time.Duration) {
	outcome, shape := "ok", "valid"
	if err != nil {
		outcome, shape = string(internalError), "unknown"
		var r *refusal
		if errors.As(err, &r) {
			outcome, shape = string(r.reason), r.shape
		}
	}
	m.answers.WithLabelValues(outcome, shape).Inc()
	m.validatorTime.Observe(took.Seconds())
}

func (m *metrics) circuit(s gobreaker.State) { m.breaker.Set(float64(s)) }
