package console

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
)

// eventStream is an answer of server-sent events.
type eventStream struct {
	w    http.ResponseWriter
	out  *http.ResponseController
	stop chan struct{}
	beat sync.WaitGroup

	mu sync.Mutex // one event at a time
}

// beginEvents begins such an answer; close must be called.
func beginEvents(w http.ResponseWriter) *eventStream {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	s := &eventStream{w: w, out: http.NewResponseController(w), stop: make(chan struct{})}
	s.beat.Go(func() {
		beat := time.NewTicker(liveBeat)
		defer beat.Stop()
		for {
			select {
			case <-s.stop:
				return
			case <-beat.C:
				if s.write(": still here\n\n") != nil {
					return
				}
			}
		}
	})
	return s
}

// send sends data as a JSON text. A browser that comes again names the last id that is not negative.
func (s *eventStream) send(name string, id int64, data string) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	if id < 0 {
		return s.write("event: %s\ndata: %s\n\n", name, text)
	}
	return s.write("id: %d\nevent: %s\ndata: %s\n\n", id, name, text)
}

func (s *eventStream) write(format string, args ...any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := fmt.Fprintf(s.w, format, args...); err != nil {
		return err
	}
	return s.out.Flush()
}

func (s *eventStream) close() {
	close(s.stop)
	s.beat.Wait()
}
