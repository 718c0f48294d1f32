package ui

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Progress shows how far a long operation is: a line that is redrawn on a
// terminal, a new line every ten seconds off one, nothing under --quiet.
type Progress struct {
	s     *Streams
	noun  string
	total int
	now   func() time.Time

	mu      sync.Mutex
	start   time.Time
	printed time.Time
	done    int
	failed  int
	retried int
	window  []sample // the last ten seconds, for the rate
	closed  bool
}

type sample struct {
	at   time.Time
	done int
}

const (
	redrawEvery  = 100 * time.Millisecond
	reportEvery  = 10 * time.Second
	rateOverLast = 10 * time.Second
)

// Progress starts a display of total things called noun, in the plural.
func (s *Streams) Progress(noun string, total int, now func() time.Time) *Progress {
	t := now()
	return &Progress{s: s, noun: noun, total: total, now: now, start: t, printed: t, window: []sample{{t, 0}}}
}

// Update says how many of the total are done and how many of those failed, and
// how many requests had to be repeated.
func (p *Progress) Update(done, failed, retried int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.now()
	p.done, p.failed, p.retried = done, failed, retried
	p.window = append(p.window, sample{t, done})
	for len(p.window) > 2 && t.Sub(p.window[1].at) > rateOverLast {
		p.window = p.window[1:]
	}
	p.draw(t)
}

// Tick redraws the clock while nothing else happens.
func (p *Progress) Tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draw(p.now())
}

func (p *Progress) draw(t time.Time) {
	if p.closed || p.s.Quiet {
		return
	}
	switch {
	case p.s.ErrTTY && t.Sub(p.printed) >= redrawEvery:
		p.printed = t
		p.s.setStatus(p.line(t, p.timeLeft(t)))
	case !p.s.ErrTTY && t.Sub(p.printed) >= reportEvery:
		p.printed = t
		p.s.Note("%d of %d done, %d failed%s", p.done, p.total, p.failed, p.secondsLeft(t))
	}
}

// End leaves the final line on the screen.
func (p *Progress) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.s.Quiet {
		return
	}
	p.closed = true
	t := p.now()
	if !p.s.ErrTTY {
		p.s.Note("%d of %d done, %d failed, %.0f s", p.done, p.total, p.failed, t.Sub(p.start).Seconds())
		return
	}
	tail := ""
	if p.retried > 0 {
		tail = fmt.Sprintf("retried %d times (rate limit)", p.retried)
	}
	p.window = []sample{{p.start, 0}, {t, p.done}}
	p.s.setStatus(p.line(t, tail))
	p.s.endStatus()
}

func (p *Progress) line(t time.Time, tail string) string {
	percent := 100
	if p.total > 0 {
		percent = p.done * 100 / p.total
	}
	text := fmt.Sprintf("[%s] %3d%%  %d/%d %s   %.1f/s   %d failed   %s",
		clock(t.Sub(p.start)), percent, p.done, p.total, p.noun, p.rate(), p.failed, tail)
	return p.s.Cut(strings.TrimRight(text, " "), p.s.Width()-1)
}

// rate is done per second over the window.
func (p *Progress) rate() float64 {
	first, last := p.window[0], p.window[len(p.window)-1]
	seconds := last.at.Sub(first.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return float64(last.done-first.done) / seconds
}

func (p *Progress) left(t time.Time) (time.Duration, bool) {
	rate := p.rate()
	if rate <= 0 || t.Sub(p.start) < time.Second {
		return 0, false
	}
	return time.Duration(float64(p.total-p.done) / rate * float64(time.Second)), true
}

func (p *Progress) timeLeft(t time.Time) string {
	if d, ok := p.left(t); ok {
		return "about " + clock(d) + " left"
	}
	return ""
}

func (p *Progress) secondsLeft(t time.Time) string {
	if d, ok := p.left(t); ok {
		return fmt.Sprintf(", about %.0f s left", d.Seconds())
	}
	return ""
}

// clock prints a duration as m:ss, or h:mm:ss from an hour on.
func clock(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
