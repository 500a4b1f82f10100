package console

import (
	"net/url"

	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/fault"
)

type deliveryRow struct {
	route.LogEntry
	To     string // short name of the target
	ToPath string
	Path   string // of a dead letter's page
	Choose bool
}

type deliveriesView struct {
	States       []chip
	State        string
	Target, Name string // ARN and short name of the one target that is shown
	Rule         string
	Rows         []deliveryRow
	Choose       bool // dead letters can be chosen
	More         string
	Next         string // where to come back to
}

const deliveriesPage = 50

func (o *Console) deliveries() page {
	letters := func(action string) func(r *request) []iam.Request {
		return func(r *request) []iam.Request { return r.ask(action, "") }
	}
	return page{
		name: "deliveries", path: "/deliveries", under: "routes",
		asks: func(r *request) []iam.Request { return r.ask("haechi:ListDeliveries", "") },
		view: o.deliveriesView,
		actions: map[string]action{
			"/deliveries/retry": {asks: letters("haechi:RetryDeadLetters"), do: func(r *request) (string, error) {
				q, err := deadLetters(r)
				if err != nil {
					return "", err
				}
				n, err := o.config.Routes.RetryDeadLetters(r.Context(), q)
				r.say("Dead letters on their way again: %d", n)
				return within(r.PostFormValue("next")), err
			}},
			"/deliveries/purge": {asks: letters("haechi:PurgeDeadLetters"), do: func(r *request) (string, error) {
				q, err := deadLetters(r)
				if err != nil {
					return "", err
				}
				n, err := o.config.Routes.PurgeDeadLetters(r.Context(), q)
				r.say("Dead letters thrown away: %d", n)
				return within(r.PostFormValue("next")), err
			}},
		},
	}
}

// deadLetters are those that the form names: the chosen ones, or with all every one (of a target).
func deadLetters(r *request) (q route.DeadLetterQuery, err error) {
	q.Target = r.PostFormValue("target")
	if r.PostFormValue("all") != "" {
		return q, nil
	}
	if q.IDs = r.PostForm["ref"]; len(q.IDs) == 0 {
		return q, fault.Invalid.Errorf("%s", r.t("No dead letter is chosen."))
	}
	return q, nil
}

func (o *Console) deliveriesView(r *request) (any, error) {
	q := r.URL.Query()
	v := deliveriesView{State: q.Get("state"), Target: q.Get("target"), Rule: q.Get("rule"), Next: r.URL.RequestURI()}
	if v.Target != "" {
		v.Name = o.shortTarget(v.Target)
	}
	for _, s := range []route.DeliveryState{"", route.Waiting, route.Delivered, route.Dead, route.Dropped} {
		to := url.Values{}
		for name, value := range map[string]string{"state": string(s), "target": v.Target, "rule": v.Rule} {
			if value != "" {
				to.Set(name, value)
			}
		}
		title := string(s)
		if s == "" {
			title = "all"
		}
		v.States = append(v.States, chip{title, "/deliveries?" + to.Encode(), v.State == string(s)})
	}
	list, next, err := o.config.Routes.Log(r.Context(), route.LogQuery{State: route.DeliveryState(v.State), Target: v.Target, Rule: v.Rule}, route.Page{After: q.Get("after"), Limit: deliveriesPage})
	if err != nil {
		return nil, err
	}
	may := r.may("haechi:RetryDeadLetters")
	for _, e := range list {
		row := deliveryRow{LogEntry: e, To: o.shortTarget(e.Target), ToPath: deliveriesPath(e.Target), Choose: may && e.State == route.Dead}
		if e.State == route.Dead {
			row.Path = "/deliveries/" + url.PathEscape(e.ID)
		}
		v.Choose = v.Choose || row.Choose
		v.Rows = append(v.Rows, row)
	}
	if next != "" {
		q.Set("after", next)
		v.More = "/deliveries?" + q.Encode()
	}
	return v, nil
}
