package console

import (
	"context"
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
	events := beginEvents(w)
	defer events.close()
	ctx, cancel := context.WithTimeout(r.Context(), liveLimit)
	defer cancel()
	look := time.NewTicker(liveLook)
	defer look.Stop()
	last := int64(-1)
	for {
		head, err := o.head(ctx)
		if err != nil && fault.Of(err) != fault.Unavailable {
			return
		}
		if err == nil && head != last {
			if events.send("change", head, "") != nil {
				return
			}
			last = head
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

func (o *Console) head(ctx context.Context) (head int64, err error) {
	err = o.config.DB.Read(ctx, func(tx *db.Tx) error {
		head, err = o.config.Bus.Head(tx)
		return err
	})
	return head, err
}
