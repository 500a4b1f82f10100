package intake

import (
	"context"
	"net/http"

	"github.com/haechi-dev/haechi/keeper/inventory"
	"github.com/haechi-dev/haechi/word/fault"
)

// ItemsAction is what sending configuration items takes.
const ItemsAction = "haechi:PutItems"

// Items keeps assets as they were seen.
type Items interface {
	// ImportFile takes configuration items in any of the shapes AWS Config gives them.
	ImportFile(ctx context.Context, name string, text []byte) (inventory.Imported, error)
}

// items takes configuration items in. What is known already changes nothing, so a request may be sent again.
func (d *door) items(r *http.Request, _ sender) (reply, error) {
	if d.Items == nil {
		return reply{}, fault.Unsupported.Errorf("no inventory is kept here")
	}
	text, err := body(r)
	if err != nil {
		return reply{}, err
	}
	done, err := d.Items.ImportFile(r.Context(), "the request", text)
	return reply{Items: &done}, err
}
