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
	Problem  string   // what is wrong with what was filled in
	Tried    bool     // a message to try it was taken
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
			"/routes/receiver":        {asks: ask("haechi:PutReceiver"), do: o.putReceiver, again: o.receiverAgain},
			"/routes/receiver/try":    {asks: ask("haechi:PutReceiver"), show: o.tryReceiver},
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

func (o *Console) receiverView(r *request) (any, error) { return o.receiverNow(r) }

// tryReceiver sends a message to try a receiver as it was saved last, and shows what came of it.
func (o *Console) tryReceiver(r *request) (any, error) {
	v, err := o.receiverNow(r)
	if err != nil || v.New {
		return v, err
	}
	if err := o.config.Routes.Try(r.Context(), v.Kind.Name, v.Receiver.Name); err != nil {
		v.Problem = err.Error()
	}
	v.Tried = v.Problem == ""
	return v, nil
}

// receiverNow is the page of a receiver as it was saved last, or of a new one.
func (o *Console) receiverNow(r *request) (v receiverView, err error) {
	kind, err := kindNamed(r.FormValue("kind"))
	if err != nil {
		return v, err
	}
	v = receiverView{Kind: kind, Change: r.may("haechi:PutReceiver"), New: r.FormValue("name") == ""}
	if !v.New {
		if v.Receiver, err = o.receiverNamed(r, kind.Name, r.FormValue("name")); err != nil {
			return v, err
		}
		v.Log = deliveriesPath(v.Receiver.ARN)
		if v.Rules, _, err = o.config.Routes.RulesTo(r.Context(), route.DefaultBus, v.Receiver.ARN, route.Page{}); err != nil {
			return v, err
		}
	}
	if i := time.Duration(v.Receiver.Pacing.Interval); i > 0 {
		v.Interval = i.String()
	}
	for _, f := range kind.Fields {
		_, set := v.Receiver.Secrets[f.Name]
		v.Fields = append(v.Fields, fieldOf(f, v.Receiver, set))
	}
	return v, nil
}

// receiverAgain is the form as it was filled in, less what is secret.
func (o *Console) receiverAgain(r *request, problem error) (any, error) {
	filled, err := o.receiverIn(r)
	if err != nil {
		return nil, err
	}
	v := receiverView{Kind: filled.kind, Receiver: filled.Receiver, New: filled.isNew, Change: true, Problem: problem.Error(), Interval: r.PostFormValue("interval")}
	for _, f := range v.Kind.Fields {
		_, set := filled.was.Secrets[f.Name]
		v.Fields = append(v.Fields, fieldOf(f, filled.Receiver, set))
	}
	return v, nil
}

func fieldOf(f route.Field, c route.Receiver, set bool) field {
	return field{Field: f, Value: c.Settings[f.Name], Set: set, Long: strings.Contains(f.Help, "PEM")}
}

// filledIn is a receiver as the form says it.
type filledIn struct {
	route.Receiver
	kind  route.Kind
	was   route.Receiver // the zero value if there is none yet
	isNew bool           // the form makes one
}

func (o *Console) receiverIn(r *request) (f filledIn, err error) {
	form := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	if f.kind, err = kindNamed(form("kind")); err != nil {
		return f, err
	}
	if f.was, err = o.receiverNamed(r, f.kind.Name, form("name")); err != nil && fault.Of(err) != fault.NotFound {
		return f, err
	}
	f.isNew = form("new") != ""
	f.Receiver = route.Receiver{Kind: f.kind.Name, Name: form("name"), Description: form("description"), Settings: map[string]string{}, Secrets: map[string]seal.Secret{}, Pacing: f.was.Pacing}
	for _, one := range f.kind.Fields {
		switch value := form("field." + one.Name); {
		case one.Secret && value != "": // what is left empty stays as it is
			f.Secrets[one.Name] = seal.Secret(value)
		case !one.Secret && value != "":
			f.Settings[one.Name] = value
		}
	}
	if f.kind.Digest {
		f.Pacing.Quiet = route.Quiet{From: form("quiet-from"), To: form("quiet-to"), Zone: form("quiet-zone")}
		if f.Pacing.Quiet.From == "" && f.Pacing.Quiet.To == "" {
			f.Pacing.Quiet = route.Quiet{}
		}
		f.Pacing.Silent, f.Pacing.Interval = form("silent") != "", 0
	}
	return f, nil
}

func (o *Console) putReceiver(r *request) (string, error) {
	f, err := o.receiverIn(r)
	if err != nil {
		return "", err
	}
	if f.isNew && f.was.Name != "" {
		return "", fault.Exists.Errorf("%s", r.t("There is a receiver of that name already."))
	}
	if text := strings.TrimSpace(r.PostFormValue("interval")); text != "" && f.kind.Digest {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return "", fault.Invalid.Errorf("%q is not a length of time (5m, 1h)", text)
		}
		f.Pacing.Interval = route.Span(d)
	}
	if _, err := o.config.Routes.PutReceiver(r.Context(), f.Receiver); err != nil {
		return "", err
	}
	r.say("The receiver was saved.")
	return receiverPath(f.Kind, f.Name), nil
}

func (o *Console) deleteReceiver(r *request) (string, error) {
	if err := o.config.Routes.DeleteReceiver(r.Context(), r.PostFormValue("kind"), r.PostFormValue("name")); err != nil {
		return "", err
	}
	r.say("The receiver was deleted.")
	return "/routes", nil
}
