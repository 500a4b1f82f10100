// Package pull fetches findings from the servers of other tools, as reports that are then imported.
//
// What is fetched is written in the form of the tool's own report, so that it is read
// as such. Where a server does not hand over everything, the report says so: it closes nothing then.
package pull

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/word/fault"
)

// Server is where to fetch from.
type Server struct {
	URL   string
	Token seal.Secret
	HTTP  *http.Client                                     // nil is a client of its own
	Wait  func(ctx context.Context, d time.Duration) error // until a busy server wants to be asked again; nil waits
}

// Fetched is what became of a fetch.
type Fetched struct {
	Records int
	Partial string // why it is not all there is; "" is all
}

// Source is a kind of server.
type Source struct {
	Name     string
	Token    string // the variable that holds its token, unless another is said
	Needs    string // what must be said of what to fetch
	Optional bool   // whether that may be left out
	// Reports fetches the reports there are, each into a file of its own that create makes.
	Reports func(ctx context.Context, s Server, what, branch string, create func(name string) (io.WriteCloser, error)) ([]Fetched, error)
}

// Sources are the kinds there are.
func Sources() []Source {
	return []Source{
		{Name: "sonarqube", Token: "SONAR_TOKEN", Needs: "the key of the project", Reports: sonarQube},
		{Name: "zap", Token: "ZAP_API_KEY", Needs: "the site, such as https://shop.example", Optional: true, Reports: zap},
		{Name: "defectdojo", Token: "DEFECTDOJO_TOKEN", Needs: "the number of the product", Reports: defectDojo},
	}
}

const (
	maxPage  = 64 << 20 // bytes of one answer
	maxTries = 6
	maxCalls = 20_000  // of one fetch
	maxBytes = 2 << 30 // of all answers
	maxWait  = 2 * time.Minute
)

// caller asks one server.
type caller struct {
	base   *url.URL
	server Server
	http   *http.Client
	sign   func(*http.Request)
	calls  int
	bytes  int64
}

func (s Server) caller(sign func(r *http.Request, token string)) (*caller, error) {
	u, err := url.Parse(strings.TrimSuffix(s.URL, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, fault.Invalid.Errorf("%.200q is not the address of a server (https://sonar.example)", s.URL)
	}
	client := &http.Client{Timeout: 2 * time.Minute}
	if s.HTTP != nil {
		copied := *s.HTTP
		client = &copied
	}
	// A token goes where it was meant to go, and nowhere else.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if s.Wait == nil {
		s.Wait = func(ctx context.Context, d time.Duration) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(d):
				return nil
			}
		}
	}
	return &caller{base: u, server: s, http: client, sign: func(r *http.Request) {
		if token := s.Token.Reveal(); token != "" {
			sign(r, token)
		}
	}}, nil
}

func basic(r *http.Request, token string) {
	r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(token+":")))
}

// get asks for a path below the server's own, and reads the answer into out. A server that is busy is asked again.
func (c *caller) get(ctx context.Context, path string, query url.Values, out any) error {
	for try := 1; ; try++ {
		again, err := c.once(ctx, path, query, out)
		if err == nil || again == 0 || try == maxTries {
			return err
		}
		if err := c.server.Wait(ctx, again); err != nil {
			return err
		}
	}
}

// once asks once; again is how long to wait before asking again, 0 where that is no use.
func (c *caller) once(ctx context.Context, path string, query url.Values, out any) (again time.Duration, err error) {
	if c.calls++; c.calls > maxCalls || c.bytes > maxBytes {
		return 0, fault.Limit.Errorf("%s: the server was asked %d times and has answered %d MB, and there is no end to it", c.where(path), c.calls-1, c.bytes>>20)
	}
	u := c.base.JoinPath(path)
	u.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0, fault.Invalid.Errorf("%q: %w", u.Redacted(), err)
	}
	r.Header.Set("Accept", "application/json")
	c.sign(r)
	response, err := c.http.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		var said *url.Error
		if errors.As(err, &said) {
			err = said.Err // the address is said here
		}
		return 2 * time.Second, fault.Unavailable.Errorf("%s: %w", c.where(path), err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxPage+1))
	c.bytes += int64(len(text))
	switch status := response.StatusCode; {
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable || status == http.StatusBadGateway || status == http.StatusGatewayTimeout:
		return pause(response), fault.Unavailable.Errorf("%s: the server is busy (%s)", c.where(path), response.Status)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return 0, fault.Denied.Errorf("%s: the token is missing, wrong or may not do this (%s)", c.where(path), response.Status)
	case status >= 300 && status < 400:
		return 0, fault.Invalid.Errorf("%s: the server sends elsewhere, to %.200q: give that address", c.where(path), response.Header.Get("Location"))
	case status == http.StatusNotFound:
		return 0, fault.NotFound.Errorf("%s: there is nothing at this address (%s)%s", c.where(path), response.Status, said(text))
	case status != http.StatusOK:
		return 0, fault.Invalid.Errorf("%s: the server refuses (%s)%s", c.where(path), response.Status, said(text))
	case err != nil:
		return 2 * time.Second, fault.Unavailable.Errorf("%s: the answer broke off: %w", c.where(path), err)
	case len(text) > maxPage:
		return 0, fault.Limit.Errorf("%s: the answer is larger than %d MB", c.where(path), maxPage>>20)
	}
	if err := json.Unmarshal(text, out, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return 0, fault.Invalid.Errorf("%s: the answer is no whole JSON: %w", c.where(path), err)
	}
	return 0, nil
}

// where is an address for people: the query may hold a key.
func (c *caller) where(path string) string { return c.base.JoinPath(path).Redacted() }

// pause is how long a busy server wants to be left alone.
func pause(response *http.Response) time.Duration {
	text := response.Header.Get("Retry-After")
	if n, err := strconv.Atoi(text); err == nil && n > 0 {
		return min(time.Duration(n)*time.Second, maxWait)
	}
	if at, err := http.ParseTime(text); err == nil && time.Until(at) > 0 {
		return min(time.Until(at), maxWait)
	}
	return 5 * time.Second
}

// said is what a server says is wrong, in short.
func said(text []byte) string {
	var answer struct {
		Errors []struct {
			Msg string `json:"msg"`
		} `json:"errors"`
		Message string `json:"message"`
		Detail  string `json:"detail"`
	}
	if json.Unmarshal(text, &answer, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)) != nil {
		return ""
	}
	for _, e := range answer.Errors {
		answer.Message = e.Msg + answer.Message
	}
	if words := answer.Message + answer.Detail; words != "" {
		return fmt.Sprintf(": %.200s", words)
	}
	return ""
}

// list writes records, each once, as one list within a JSON document.
type list struct {
	w    io.Writer
	n    int
	seen map[string]bool
}

// add writes a record that was not written yet.
func (l *list) add(key string, record jsontext.Value) error {
	if key != "" {
		if l.seen[key] {
			return nil
		}
		l.seen[key] = true
	}
	separator := ",\n"
	if l.n == 0 {
		separator = "\n"
	}
	l.n++
	if _, err := io.WriteString(l.w, separator); err != nil {
		return err
	}
	_, err := l.w.Write(record)
	return err
}

func write(w io.Writer, text string) error {
	_, err := io.WriteString(w, text)
	return err
}
