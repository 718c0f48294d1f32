package rollout

import (
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// Chrome asks at its start and then every five hours, so a browser that is in
	// use is seen well within a day.
	fleetWindow = 24 * time.Hour
	// Anybody may ask, under any name and version: both tables are bounded.
	fleetLimit   = 1 << 16 // browsers, some 5 MB
	versionLimit = 64
	otherVersion = "other"
)

// fleet remembers which version each browser had when it last asked.
type fleet struct {
	now func() time.Time

	mu       sync.Mutex
	browsers map[uint64]seen
	held     map[string]int // how many browsers are remembered with it
	dropped  int64          // browsers that others took the place of
}

type seen struct {
	version string
	at      int64 // Unix seconds
}

func newFleet(now func() time.Time) *fleet {
	return &fleet{now: now, browsers: map[uint64]seen{}, held: map[string]int{}}
}

func (f *fleet) saw(key uint64, version string) {
	at := f.now().Unix()
	f.mu.Lock()
	defer f.mu.Unlock()
	if old, ok := f.browsers[key]; ok {
		f.forget(key, old)
	} else if len(f.browsers) >= fleetLimit {
		f.makeRoom(at)
	}
	if _, ok := f.held[version]; !ok && len(f.held) >= versionLimit {
		version = otherVersion
	}
	f.held[version]++
	f.browsers[key] = seen{version, at}
}

// makeRoom drops one browser: of a few that Go's map happens to begin with the
// one not seen for longest. Which one matters little, that it is quick does.
func (f *fleet) makeRoom(now int64) {
	var victim uint64
	oldest, looked := now+1, 0
	for key, s := range f.browsers {
		if s.at < oldest {
			victim, oldest = key, s.at
		}
		if looked++; looked == 8 {
			break
		}
	}
	f.forget(victim, f.browsers[victim])
	if now-oldest < int64(fleetWindow.Seconds()) {
		f.dropped++
	}
}

func (f *fleet) forget(key uint64, s seen) {
	delete(f.browsers, key)
	if f.held[s.version]--; f.held[s.version] <= 0 {
		delete(f.held, s.version)
	}
}

func (f *fleet) droppedCount() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dropped
}

// versions counts browsers by version, newest first, and forgets those that have
// not asked within the window.
func (f *fleet) versions(compare func(a, b string) int) []VersionCount {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	counted := map[string]*VersionCount{}
	for key, s := range f.browsers {
		at := time.Unix(s.at, 0).UTC()
		if now.Sub(at) > fleetWindow {
			f.forget(key, s)
			continue
		}
		v := counted[s.version]
		if v == nil {
			v = &VersionCount{Version: s.version}
			counted[s.version] = v
		}
		v.Browsers++
		if at.After(v.Last) {
			v.Last = at
		}
	}
	list := make([]VersionCount, 0, len(counted))
	for _, v := range counted {
		list = append(list, *v)
	}
	plain := func(version string) bool { return version == "" || version == otherVersion }
	slices.SortFunc(list, func(a, b VersionCount) int {
		switch {
		case plain(a.Version) && plain(b.Version):
			return strings.Compare(b.Version, a.Version)
		case plain(a.Version):
			return 1
		case plain(b.Version):
			return -1
		}
		return compare(b.Version, a.Version)
	})
	return list
}
