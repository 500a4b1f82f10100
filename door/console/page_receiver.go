package console

import (
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/fault"
)

// field is a setting of a receiver in its form. A secret's value is never shown.
type field struct {
	route.Field
	Value string
	Set   bool // of a secret: there is one
	Long  bool // more than a line
}

type receiverView struct {
	New      bool
	Kind     route.Kind
	Receiver route.Receiver
	Fields   []field
	Change   bool
	Log      string
	Interval string
	Rules    []string // that tell it
}

func (o *Console) receiver() page {
	ask := func(action string) func(r *request) []iam.Request {
		return func(r *request) []iam.Request {
			return r.ask(action, o.config.Routes.ReceiverARN(r.PostFormValue("kind"), r.PostFormValue("name")))
		}
	}
	return page{
		name: "receiver", path: "/routes/receiver", under: "routes",
		asks: func(r *request) []iam.Request { return r.ask("haechi:ListReceivers", "") },
		view: o.receiverView,
		actions: map[string]action{
			"/routes/receiver":        {asks: ask("haechi:PutReceiver"), do: o.putReceiver},
			"/routes/receiver/delete": {asks: ask("haechi:DeleteReceiver"), do: o.deleteReceiver},
		},
	}
}

func kindNamed(name string) (route.Kind, error) {
	for _, k := range route.Kinds() {
		if k.Name == name {
			return k, nil
		}
	}
	return route.Kind{}, fault.NotFound.Errorf("there is no kind of receiver %q", name)
}

func (o *Console) receiverNamed(r *request, kind, name string) (route.Receiver, error) {
	all, err := o.config.Routes.Receivers(r.Context())
	if err != nil {
		return route.Receiver{}, err
	}
	i := slices.IndexFunc(all, func(c route.Receiver) bool { return c.Kind == kind && c.Name == name })
	if i < 0 {
		return route.Receiver{}, fault.NotFound.Errorf("there is no receiver %s/%s", kind, name)
	}
	return all[i], nil
}

func (o *Console) receiverView(r *request) (any, error) {
	kind, err := kindNamed(r.FormValue("kind"))
	if err != nil {
		return nil, err
	}
	v := receiverView{Kind: kind, Change: r.may("haechi:PutReceiver"), New: r.FormValue("name") == ""}
	if !v.New {
		if v.Receiver, err = o.receiverNamed(r, kind.Name, r.FormValue("name")); err != nil {
			return nil, err
		}
		v.Log = deliveriesPath(v.Receiver.ARN)
		if v.Rules, _, err = o.config.Routes.RulesTo(r.Context(), route.DefaultBus, v.Receiver.ARN, route.Page{}); err != nil {
			return nil, err
		}
	}
	if i := time.Duration(v.Receiver.Pacing.Interval); i > 0 {
		v.Interval = i.String()
	}
	for _, f := range kind.Fields {
		one := field{Field: f, Value: v.Receiver.Settings[f.Name], Long: strings.Contains(f.Help, "PEM")}
		_, one.Set = v.Receiver.Secrets[f.Name]
		v.Fields = append(v.Fields, one)
	}
	return v, nil
}

func (o *Console) putReceiver(r *request) (string, error) {
	form := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	kind, err := kindNamed(form("kind"))
	if err != nil {
		return "", err
	}
	was, err := o.receiverNamed(r, kind.Name, form("name"))
	if err == nil && form("new") != "" {
		return "", fault.Exists.Errorf("%s", r.t("There is a receiver of that name already."))
	}
	if err != nil && fault.Of(err) != fault.NotFound {
		return "", err
	}
	c := route.Receiver{Kind: kind.Name, Name: form("name"), Description: form("description"), Settings: map[string]string{}, Secrets: map[string]seal.Secret{}, Pacing: was.Pacing}
	for _, f := range kind.Fields {
		switch value := form("field." + f.Name); {
		case f.Secret && value != "": // what is left empty stays as it is
			c.Secrets[f.Name] = seal.Secret(value)
		case !f.Secret && value != "":
			c.Settings[f.Name] = value
		}
	}
	if kind.Digest {
		if err := pacingIn(form, &c.Pacing); err != nil {
			return "", err
		}
	}
	if _, err := o.config.Routes.PutReceiver(r.Context(), c); err != nil {
		return "", err
	}
	r.say("The receiver was saved.")
	return receiverPath(c.Kind, c.Name), nil
}

// pacingIn takes from the form how often a receiver that people read is told of things.
func pacingIn(form func(string) string, p *route.Pacing) error {
	p.Quiet = route.Quiet{From: form("quiet-from"), To: form("quiet-to"), Zone: form("quiet-zone")}
	if p.Quiet.From == "" && p.Quiet.To == "" {
		p.Quiet = route.Quiet{}
	}
	p.Silent = form("silent") != ""
	p.Interval = 0
	if text := form("interval"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return fault.Invalid.Errorf("%q is not a length of time (5m, 1h)", text)
		}
		p.Interval = route.Span(d)
	}
	return nil
}

func (o *Console) deleteReceiver(r *request) (string, error) {
	if err := o.config.Routes.DeleteReceiver(r.Context(), r.PostFormValue("kind"), r.PostFormValue("name")); err != nil {
		return "", err
	}
	r.say("The receiver was deleted.")
	return "/routes", nil
}
