package console

import (
	"maps"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/route"
)

type letterView struct {
	Letter     route.DeadDelivery
	To, ToPath string
	Attributes []pair
	Event      string
	Finding    *findingRow // what the event is about, if that is a finding
	Choose     bool
}

// letter is one dead letter: why it could not be delivered, and what it says.
func (o *Console) letter() page {
	return page{
		name: "letter", path: "/deliveries/{id}", under: "routes",
		asks: func(r *request) []iam.Request { return r.ask("haechi:ListDeliveries", "") },
		view: o.letterView,
	}
}

func (o *Console) letterView(r *request) (any, error) {
	d, err := o.config.Routes.DeadLetter(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	v := letterView{Letter: d, To: o.shortTarget(d.Target), ToPath: deliveriesPath(d.Target), Choose: r.may("haechi:RetryDeadLetters")}
	for _, name := range slices.Sorted(maps.Keys(d.Attributes)) {
		v.Attributes = append(v.Attributes, pair{name, d.Attributes[name]})
	}
	text, err := json.Marshal(d.Item.Event)
	if err != nil {
		return nil, err
	}
	v.Event = indented(jsontext.Value(text))
	if f, ok := d.Item.Finding(); ok {
		row := rowOf(r.lang, &f, false)
		v.Finding = &row
	}
	return v, nil
}
