package eventsrv

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/flexvc/flexvc/internal/fleet"
)

// The names of server-sent events.
const (
	nameWorker = "worker" // data is a provision.Event
	nameResync = "resync" // data is {"reason":"…"}: changes may be missing, list the workers
)

// item is one server-sent event. Its data is encoded once for all readers.
type item struct {
	ID   string          `json:"id"` // of Twilio's event; empty for what is no worker's
	Name string          `json:"name"`
	Data json.RawMessage `json:"data"`
}

func worker(id string, e fleet.Event) item {
	return item{id, nameWorker, encode(e)}
}

// event reads a worker's item.
func (it item) event() (e fleet.Event, err error) {
	err = json.Unmarshal(it.Data, &e)
	return e, err
}

func resync(reason string) item {
	return item{"", nameResync, encode(map[string]string{"reason": reason})}
}

// encode writes one line.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // texts, numbers and dates always encode
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// hub is a ring of the latest items. Readers hold a place in it and come for
// what is new: one who is slow costs nothing, and finds its place gone.
type hub struct {
	epoch string // tells this ring from that of any other process

	mu   sync.Mutex
	ring []item
	next uint64 // place of the item to come; the first is 1
	seen *lru.Cache[string, struct{}]
	wake chan struct{} // closed when there is something new
}

// remembered is how many events are told apart from doubles. Event Streams
// repeats for four hours; beyond this many a double changes nothing, as it is
// older than what is known of its worker.
const remembered = 1 << 16

func newHub(epoch string, size int) *hub {
	seen, err := lru.New[string, struct{}](remembered)
	if err != nil {
		panic(err) // the size is not positive
	}
	return &hub{epoch: epoch, ring: make([]item, size), next: 1, seen: seen, wake: make(chan struct{})}
}

// add keeps an item and wakes every reader. It returns false for a double.
func (h *hub) add(it item) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if it.ID != "" {
		if known, _ := h.seen.ContainsOrAdd(it.ID, struct{}{}); known {
			return false
		}
	}
	h.ring[h.next%uint64(len(h.ring))] = it
	h.next++
	close(h.wake)
	h.wake = make(chan struct{})
	return true
}

// head is the place of the item to come.
func (h *hub) head() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.next
}

// since returns what came from a place on, at most limit items, and the place
// after it. missed says that the ring no longer reaches back there: then
// nothing is returned, and the place is the head. wake is closed by the next
// item.
func (h *hub) since(at uint64, limit int) (items []item, next uint64, missed bool, wake <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	size := uint64(len(h.ring))
	if at > h.next || h.next-at > size {
		return nil, h.next, true, h.wake
	}
	for ; at < h.next && len(items) < limit; at++ {
		items = append(items, h.ring[at%size])
	}
	return items, at, false, h.wake
}

// name is the id of a place, for Last-Event-ID.
func (h *hub) name(place uint64) string { return h.epoch + "-" + strconv.FormatUint(place, 10) }

// place reads an id of this ring.
func (h *hub) place(name string) (uint64, bool) {
	epoch, digits, ok := strings.Cut(name, "-")
	if !ok || epoch != h.epoch {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil
}
