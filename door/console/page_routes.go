package console

import (
	"net/url"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/fault"
)

type ruleLine struct {
	route.Rule
	Path    string
	On      bool
	Targets []string // short names
}

type receiverLine struct {
	route.Receiver
	Title   string // of its kind
	Path    string
	Log     string // path to its deliveries
	Waiting int64
	Told    int64
	Dead    int64
}

type snoozeLine struct {
	route.Snooze
	Name string
}

type routesView struct {
	Rules     []ruleLine
	Receivers []receiverLine
	Others    []receiverLine // targets that are no configured receivers
	Snoozes   []snoozeLine
	Kinds     []route.Kind
	Change    bool // rules
	Tell      bool // receivers
}

func (o *Console) routes() page {
	snoozed := func(r *request) []iam.Request { return r.ask("haechi:PutSnooze", r.PostFormValue("target")) }
	return page{
		name: "routes", path: "/routes", nav: "Routes",
		asks: func(r *request) []iam.Request { return r.ask("events:ListRules", "") },
		view: o.routesView,
		actions: map[string]action{
			"/routes/snooze":     {asks: snoozed, do: o.snooze},
			"/routes/snooze/end": {asks: snoozed, do: o.endSnooze},
		},
	}
}

func (o *Console) routesView(r *request) (any, error) {
	v := routesView{Kinds: route.Kinds(), Change: r.may("events:PutRule"), Tell: r.may("haechi:PutReceiver")}
	rules, err := o.allRules(r)
	if err != nil {
		return nil, err
	}
	for _, rule := range rules {
		line := ruleLine{Rule: rule, Path: rulePath(rule.Bus, rule.Name), On: rule.State != route.Disabled}
		targets, _, err := o.config.Routes.Targets(r.Context(), rule.Bus, rule.Name, route.Page{})
		if err != nil {
			return nil, err
		}
		for _, t := range targets {
			line.Targets = append(line.Targets, o.shortTarget(t.ARN))
		}
		v.Rules = append(v.Rules, line)
	}
	if err := o.receiverLines(r, &v); err != nil {
		return nil, err
	}
	snoozes, err := o.config.Routes.Snoozes(r.Context())
	for _, s := range snoozes {
		v.Snoozes = append(v.Snoozes, snoozeLine{s, o.shortTarget(s.Target)})
	}
	return v, err
}

// allRules are the rules of every bus.
func (o *Console) allRules(r *request) (all []route.Rule, err error) {
	buses, err := everything(func(p route.Page) ([]route.EventBus, string, error) { return o.config.Routes.Buses(r.Context(), "", p) })
	if err != nil {
		return nil, err
	}
	for _, b := range buses {
		rules, err := everything(func(p route.Page) ([]route.Rule, string, error) {
			return o.config.Routes.Rules(r.Context(), b.Name, "", p)
		})
		if err != nil {
			return nil, err
		}
		all = append(all, rules...)
	}
	return all, nil
}

// everything is all pages of a list, up to what a page of ours can show.
func everything[T any](list func(route.Page) ([]T, string, error)) (all []T, err error) {
	p := route.Page{Limit: 500}
	for {
		part, next, err := list(p)
		all = append(all, part...)
		if err != nil || next == "" || len(all) >= 2000 {
			return all, err
		}
		p.After = next
	}
}

// receiverLines are the receivers with how their deliveries stand, and what else is delivered to.
func (o *Console) receiverLines(r *request, v *routesView) error {
	receivers, err := o.config.Routes.Receivers(r.Context())
	if err != nil {
		return err
	}
	counts, err := o.config.Routes.Counts(r.Context())
	if err != nil {
		return err
	}
	at := map[string]*receiverLine{}
	titles := map[string]string{}
	for _, k := range v.Kinds {
		titles[k.Name] = k.Title
	}
	v.Receivers = make([]receiverLine, 0, len(receivers))
	for _, c := range receivers {
		v.Receivers = append(v.Receivers, receiverLine{Receiver: c, Title: titles[c.Kind], Path: receiverPath(c.Kind, c.Name), Log: deliveriesPath(c.ARN)})
		at[c.ARN] = &v.Receivers[len(v.Receivers)-1]
	}
	others := map[string]*receiverLine{}
	for _, n := range counts {
		line := at[n.Target]
		if line == nil {
			if others[n.Target] == nil {
				others[n.Target] = &receiverLine{Receiver: route.Receiver{ARN: n.Target, Name: o.shortTarget(n.Target)}, Log: deliveriesPath(n.Target)}
			}
			line = others[n.Target]
		}
		switch n.State {
		case route.Waiting:
			line.Waiting += n.N
		case route.Delivered:
			line.Told += n.N
		case route.Dead:
			line.Dead += n.N
		}
	}
	for _, arn := range sortedKeys(others) {
		v.Others = append(v.Others, *others[arn])
	}
	return nil
}

// shortTarget is a target as people call it: slack/alerts, or the last part of another ARN.
func (o *Console) shortTarget(arn string) string {
	if name, ok := strings.CutPrefix(arn, o.receiverPrefix()); ok {
		return name
	}
	parts := strings.SplitN(arn, ":", 6)
	return parts[len(parts)-1]
}

// receiverPrefix is what stands before KIND/NAME in a receiver's ARN.
func (o *Console) receiverPrefix() string {
	return strings.TrimSuffix(o.config.Routes.ReceiverARN("kind", "name"), "kind/name")
}

func rulePath(bus, name string) string {
	return "/routes/rule?" + url.Values{"bus": {bus}, "name": {name}}.Encode()
}

func receiverPath(kind, name string) string {
	return "/routes/receiver?" + url.Values{"kind": {kind}, "name": {name}}.Encode()
}

func deliveriesPath(target string) string { return "/deliveries?target=" + url.QueryEscape(target) }

// spans are how long one can snooze, as the form says it.
var spans = map[string]time.Duration{"1h": time.Hour, "4h": 4 * time.Hour, "1d": 24 * time.Hour, "1w": 7 * 24 * time.Hour}

func (o *Console) snooze(r *request) (string, error) {
	span, ok := spans[r.PostFormValue("span")]
	reason := strings.TrimSpace(r.PostFormValue("reason"))
	switch {
	case !ok:
		return "", fault.Invalid.Errorf("%s", r.t("Say how long: 1h, 4h, 1d or 1w."))
	case reason == "":
		return "", fault.Invalid.Errorf("%s", r.t("Say why: those who come after want to know."))
	}
	err := o.config.Routes.PutSnooze(r.Context(), route.Snooze{
		Target: r.PostFormValue("target"), Group: r.PostFormValue("group"), Until: o.config.Now().Add(span), By: r.principal.ARN, Reason: reason,
	})
	if err == nil {
		r.say("It is quiet there for now. What is still so afterwards is told of then.")
	}
	return "/routes", err
}

func (o *Console) endSnooze(r *request) (string, error) {
	return "/routes", o.config.Routes.EndSnooze(r.Context(), r.PostFormValue("target"), r.PostFormValue("group"))
}
