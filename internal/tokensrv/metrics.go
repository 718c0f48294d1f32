package tokensrv

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	vm "github.com/VictoriaMetrics/metrics"
	"github.com/sony/gobreaker/v2"

	"github.com/flexvc/flexvc/internal/buildinfo"
	"github.com/flexvc/flexvc/internal/gate"
	"github.com/flexvc/flexvc/internal/turns"
)

// metrics are the figures on /metrics; deploy/README.md says what each means.
// What every request touches is resolved once, here, not looked up by label on
// the way.
type metrics struct {
	set *vm.Set

	issued   *vm.Counter
	lastAt   *vm.Gauge // Unix seconds of the latest token, 0 before the first
	refused  map[reason]*vm.Counter
	tokenOK  *vm.Counter           // the one of the answered requests that matters
	duration map[string]*histogram // by route name
	inFlight *vm.Gauge

	turnedAway *vm.Counter // connections met by a lack of descriptors

	cacheHit, cacheShared, cacheMiss *vm.Counter

	validatorTime *histogram
	breaker       *vm.Gauge
	drift         *vm.Gauge
	redisUp       *vm.Gauge // nil without Redis, so that no alert takes none for one that is down
	redisErrors   *vm.Counter
}

func newMetrics(routes []string) *metrics {
	set := vm.NewSet()
	m := &metrics{
		set:           set,
		issued:        set.NewCounter("flexvc_tokens_issued_total"),
		lastAt:        set.NewGauge("flexvc_tokens_last_issued_timestamp_seconds", nil),
		refused:       map[reason]*vm.Counter{},
		tokenOK:       set.NewCounter(requests(routeToken, http.StatusOK)),
		duration:      map[string]*histogram{},
		inFlight:      set.NewGauge("flexvc_http_requests_in_flight", nil),
		turnedAway:    set.NewCounter("flexvc_descriptors_exhausted_total"),
		cacheHit:      set.NewCounter(`flexvc_verdict_lookups_total{from="memory"}`),
		cacheShared:   set.NewCounter(`flexvc_verdict_lookups_total{from="redis"}`),
		cacheMiss:     set.NewCounter(`flexvc_verdict_lookups_total{from="twilio"}`),
		validatorTime: newHistogram(set, "flexvc_validator_duration_seconds", ""),
		breaker:       set.NewGauge("flexvc_validator_circuit", nil),
		drift:         set.NewGauge("flexvc_clock_drift_seconds", nil),
		redisErrors:   set.NewCounter("flexvc_redis_errors_total"),
	}
	for r := range refusals {
		m.refused[r] = set.NewCounter(fmt.Sprintf("flexvc_tokens_refused_total{reason=%q}", r))
	}
	for _, name := range routes {
		m.duration[name] = newHistogram(set, "flexvc_http_request_duration_seconds", fmt.Sprintf("route=%q", name))
	}
	set.NewGauge(fmt.Sprintf("flexvc_build_info{version=%q}", buildinfo.Version), nil).Set(1)
	return m
}

func (m *metrics) connections(g *gate.Gate) {
	m.set.NewGauge("flexvc_connections", func() float64 { return float64(g.Figures().Connections) })
	m.set.NewGauge("flexvc_connections_bytes", func() float64 { return float64(g.Figures().Bytes) })
	m.set.NewGauge("flexvc_connections_shed_total", func() float64 { return float64(g.Figures().Shed) })
}

func (m *metrics) questions(t *turns.Turns) {
	m.set.NewGauge(`flexvc_validator_questions{state="asked"}`, func() float64 { taken, _ := t.Figures(); return float64(taken) })
	m.set.NewGauge(`flexvc_validator_questions{state="waiting"}`, func() float64 { _, waiting := t.Figures(); return float64(waiting) })
}

func requests(route string, status int) string {
	return fmt.Sprintf(`flexvc_http_requests_total{code="%d",route=%q}`, status, route)
}

func (m *metrics) handler(more []func(io.Writer)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		m.set.WritePrometheus(w)
		for _, write := range more {
			write(w)
		}
		vm.WriteProcessMetrics(w)
	})
}

func (m *metrics) answered(route string, status int, took time.Duration) {
	if route == routeToken && status == http.StatusOK {
		m.tokenOK.Inc()
	} else {
		m.set.GetOrCreateCounter(requests(route, status)).Inc()
	}
	m.duration[route].observe(took)
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
	m.set.GetOrCreateCounter(fmt.Sprintf("flexvc_validator_answers_total{outcome=%q,shape=%q}", outcome, shape)).Inc()
	m.validatorTime.observe(took)
}

func (m *metrics) circuit(s gobreaker.State) { m.breaker.Set(float64(s)) }

// histogram has Prometheus's cumulative buckets, which can be summed over
// replicas. The library's own histogram has buckets only its own server reads.
type histogram struct {
	buckets []*vm.Counter // one for each of bounds, and +Inf
	sum     *vm.FloatCounter
	count   *vm.Counter
}

var bounds = []time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond,
	800 * time.Millisecond, 1600 * time.Millisecond, 3200 * time.Millisecond, 6400 * time.Millisecond,
}

func newHistogram(set *vm.Set, name, label string) *histogram {
	labels, sep := "", ""
	if label != "" {
		labels, sep = "{"+label+"}", ","
	}
	h := &histogram{sum: set.NewFloatCounter(name + "_sum" + labels), count: set.NewCounter(name + "_count" + labels)}
	bucket := func(le string) {
		h.buckets = append(h.buckets, set.NewCounter(fmt.Sprintf(`%s_bucket{%s%sle="%s"}`, name, label, sep, le)))
	}
	for _, b := range bounds {
		bucket(strconv.FormatFloat(b.Seconds(), 'g', -1, 64))
	}
	bucket("+Inf")
	return h
}

func (h *histogram) observe(d time.Duration) {
	for i, b := range bounds {
		if d <= b {
			h.buckets[i].Inc()
		}
	}
	h.buckets[len(bounds)].Inc()
	h.sum.Add(d.Seconds())
	h.count.Inc()
}
