package demo

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
)

// slack stands in for Slack: an incoming webhook on loopback that remembers what it was told.
type slack struct {
	url, host string
	server    *http.Server

	mu      sync.Mutex
	texts   []string
	arrived chan struct{}
}

// message is an incoming webhook's, as far as people read it.
type message struct {
	Text   string `json:"text"`
	Blocks []struct {
		Text struct {
			Text string `json:"text"`
		} `json:"text"`
	} `json:"blocks"`
}

// String is what the blocks say, or the text where there are none.
func (m message) String() string {
	var lines []string
	for _, b := range m.Blocks {
		if b.Text.Text != "" {
			lines = append(lines, b.Text.Text)
		}
	}
	if lines == nil {
		return m.Text
	}
	return strings.Join(lines, "\n")
}

func listenSlack() (*slack, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &slack{host: l.Addr().String(), arrived: make(chan struct{})}
	s.url = "http://" + s.host + "/services/demo"
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.server.Serve(l) }() // ends with close
	return s, nil
}

// ServeHTTP takes a message as an incoming webhook does.
func (s *slack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	var m message
	if err != nil || json.Unmarshal(body, &m) != nil || m.Text == "" {
		http.Error(w, "invalid_payload", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.texts = append(s.texts, m.String())
	close(s.arrived)
	s.arrived = make(chan struct{})
	s.mu.Unlock()
	_, _ = io.WriteString(w, "ok")
}

func (s *slack) news() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.arrived
}

func (s *slack) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.texts...)
}

func (s *slack) count() int { return len(s.all()) }

func (s *slack) close() { _ = s.server.Close() }
