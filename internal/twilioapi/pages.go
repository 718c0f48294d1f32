package twilioapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"sync"
)

const pageSize = 1000 // Twilio's maximum

// errShape is an answer that is JSON but not what was asked for.
var errShape = errors.New("unknown shape")

// rows streams a list from its first address on. The page after the one that is
// read or delivered is asked for meanwhile, and no other. twilio-go's own paging
// is not used: it loses all rows when a later page fails, takes no context and
// leaves a goroutine behind when it is abandoned.
func rows[Row any](ctx context.Context, c *Client, o op, address, key string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		fetching, cancel := context.WithCancel(ctx)
		var fetches sync.WaitGroup
		defer fetches.Wait()
		defer cancel()
		ask := func(address string) *listPage[Row] {
			p := &listPage[Row]{address: address, ahead: make(chan string, 1), read: make(chan struct{})}
			fetches.Go(func() {
				defer close(p.read)
				p.rows, p.next, p.err = fetchPage[Row](fetching, c, o, address, key, func(next string) {
					select {
					case p.ahead <- next:
					default: // told by an earlier attempt
					}
				})
			})
			return p
		}
		var none Row
		seen := map[string]bool{}
		for page := ask(address); page != nil; {
			seen[page.address] = true
			var after *listPage[Row]
			follow := func(next string) {
				if next != "" && checkNext(page.address, next, seen) == nil && (after == nil || after.address != next) {
					after = ask(next)
				}
			}
			select {
			case next := <-page.ahead:
				follow(next)
				<-page.read
			case <-page.read:
			}
			if page.err != nil {
				yield(none, c.problem(ctx, o, page.err))
				return
			}
			follow(page.next) // which a repeated attempt may have named otherwise
			for i := range page.rows {
				if !yield(page.rows[i], nil) {
					return
				}
			}
			if err := checkNext(page.address, page.next, seen); err != nil {
				yield(none, c.problem(ctx, o, err))
				return
			}
			page = after
		}
	}
}

// listPage is a page of a list that is on its way.
type listPage[Row any] struct {
	address string
	ahead   chan string   // gets the next page's address when it is met, if it is met before the rows
	read    chan struct{} // closed when what follows is there

	rows []Row
	next string // address; empty after the last page
	err  error
}

// fetchPage reads one page. met gets the next page's address as soon as it is
// met; it may be nil.
func fetchPage[Row any](ctx context.Context, c *Client, o op, address, key string, met func(next string)) (page []Row, next string, err error) {
	err = c.send(ctx, o, request{method: http.MethodGet, url: address}, func(_ http.Header, body io.Reader) error {
		page = page[:0] // an earlier attempt may have been cut off
		var err error
		next, err = readPage(body, key, met, func(decode func(any) error) error {
			var row Row
			if err := decode(&row); err != nil {
				return err
			}
			page = append(page, row)
			return nil
		})
		return err
	})
	return page, next, err
}

// readPage decodes a page row by row, so that no copy of its text is held, and
// returns the next page's address, "" after the last. It tells that address as
// soon as it is met: Twilio's newer products put it before the rows.
func readPage(body io.Reader, key string, met func(next string), row func(decode func(any) error) error) (next string, err error) {
	d := json.NewDecoder(body)
	if err := open(d, '{'); err != nil {
		return "", err
	}
	found := false
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return "", err
		}
		switch name {
		case key:
			found = true
			if err := open(d, '['); err != nil {
				return "", err
			}
			for d.More() {
				if err := row(d.Decode); err != nil {
					return "", err
				}
			}
			if _, err := d.Token(); err != nil {
				return "", err
			}
		case "meta":
			var meta struct {
				Next *string `json:"next_page_url"`
			}
			if err := d.Decode(&meta); err != nil {
				return "", err
			}
			if meta.Next != nil {
				next = *meta.Next
			}
			if next != "" && met != nil {
				met(next)
			}
		default:
			if err := d.Decode(new(json.RawMessage)); err != nil {
				return "", err
			}
		}
	}
	if _, err := d.Token(); err != nil {
		return "", err
	}
	if !found {
		return "", fmt.Errorf("%w: no list of %s in it", errShape, key)
	}
	return next, nil
}

func open(d *json.Decoder, want json.Delim) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	if t != want {
		return fmt.Errorf("%w: %v where a list should begin", errShape, t)
	}
	return nil
}

// checkNext refuses an address that would carry the credentials to another
// host, or lead in a circle.
func checkNext(from, to string, seen map[string]bool) error {
	if to == "" {
		return nil
	}
	f, err := url.Parse(from)
	if err != nil {
		return err
	}
	t, err := url.Parse(to)
	if err != nil {
		return fmt.Errorf("%w: the next page has no readable address", errShape)
	}
	if !sameProduct(f, t) {
		return fmt.Errorf("%w: the next page is on another server, %s", errShape, t.Host)
	}
	if seen[to] {
		return fmt.Errorf("%w: the pages lead in a circle", errShape)
	}
	return nil
}

func listURL(path string, query url.Values) string {
	query.Set("PageSize", fmt.Sprint(pageSize))
	return path + "?" + query.Encode()
}
