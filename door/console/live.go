package console

import (
	"fmt"
	"net/http"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

const (
	liveLook  = 500 * time.Millisecond // how often a page is told, at most
	liveBeat  = 20 * time.Second       // so that proxies do not end what is quiet
	liveLimit = 30 * time.Minute       // the browser comes again, and is looked at anew
)

// live tells a page that something happened, as server-sent events: the
// position on the bus. The page fetches itself again, so that what it may see
// is decided in one place.
func (o *Console) live(w http.ResponseWriter, r *http.Request) {
	if _, err := o.enter(w, r); err != nil {
		o.turnAway(w, r, err)
		return
	}
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	look, beat, end := time.NewTicker(liveLook), time.NewTicker(liveBeat), time.NewTimer(liveLimit)
	defer look.Stop()
	defer beat.Stop()
	defer end.Stop()
	last := int64(-1)
	for {
		head, err := o.head(r)
		if err != nil && fault.Of(err) != fault.Unavailable {
			return
		}
		if err == nil && head != last {
			_, err = fmt.Fprintf(w, "id: %d\nevent: change\ndata: %d\n\n", head, head)
			last = head
		}
		if err != nil || out.Flush() != nil {
			return
		}
		select {
		case <-look.C:
		case <-beat.C:
			if _, err := fmt.Fprint(w, ": still here\n\n"); err != nil {
				return
			}
		case <-end.C:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func (o *Console) head(r *http.Request) (head int64, err error) {
	err = o.config.DB.Read(r.Context(), func(tx *db.Tx) error {
		head, err = o.config.Bus.Head(tx)
		return err
	})
	return head, err
}
