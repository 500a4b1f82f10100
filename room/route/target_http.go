package route

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// checkURL refuses what is not an absolute http or https address.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return fault.Invalid.Errorf("the address is not one that begins with https:// or http://")
	}
	if u.User != nil {
		return fault.Invalid.Errorf("the address holds a user or a password; it belongs in a setting of its own")
	}
	return nil
}

// call makes a request and sorts the answer: nil for 2xx, else a *Refusal that
// knows whether, and when, to try again.
func call(client *http.Client, req *http.Request) (answer []byte, err error) {
	if client == nil {
		return nil, fault.Unsupported.Errorf("there is no way out of here: no HTTP client is configured")
	}
	req.Header.Set("User-Agent", "Haechi")
	resp, err := client.Do(req)
	if err != nil {
		var call *url.Error
		if errors.As(err, &call) {
			err = call.Err // without the address, which may be a secret
		}
		if fault.Of(err) == fault.Internal {
			err = fault.Unavailable.Wrap(err)
		}
		return nil, err
	}
	defer resp.Body.Close()
	const most = 64 << 10
	answer, err = io.ReadAll(io.LimitReader(resp.Body, most))
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return answer, nil // taken, whatever became of the rest of the answer
	}
	if err != nil {
		return nil, fault.Unavailable.Wrap(err)
	}
	return nil, &Refusal{Kind: httpFault(resp.StatusCode), Status: resp.StatusCode, After: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
		Answer: excerpt(string(answer)), Err: errors.New("the receiver answered " + resp.Status)}
}

// httpFault tells which answers may change by themselves.
func httpFault(status int) fault.Kind {
	switch {
	case status == http.StatusTooManyRequests:
		return fault.Limit
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fault.Denied
	case status == http.StatusNotFound || status == http.StatusGone:
		return fault.NotFound
	case status == http.StatusRequestTimeout || status == http.StatusConflict || status == http.StatusTooEarly || status >= 500:
		return fault.Unavailable
	}
	return fault.Invalid
}

// retryAfter reads the header: seconds, or a date. More than a day is a day.
func retryAfter(text string, now time.Time) time.Duration {
	const most = 24 * time.Hour
	if seconds, err := strconv.ParseUint(strings.TrimSpace(text), 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, most)
	}
	if at, err := http.ParseTime(text); err == nil && at.After(now) {
		return min(at.Sub(now), most)
	}
	return 0
}

// gap keeps calls at least so far apart.
type gap struct {
	least time.Duration
	mu    sync.Mutex
	next  time.Time
}

func (g *gap) wait(ctx context.Context) error {
	g.mu.Lock()
	now := time.Now()
	at := g.next
	if at.Before(now) {
		at = now
	}
	g.next = at.Add(g.least)
	g.mu.Unlock()
	sleep(ctx, at.Sub(now), nil)
	return ctx.Err()
}
