package console

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/lang/match"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// choice is a receiver that a rule may tell.
type choice struct {
	ARN, Name string
	Chosen    bool
}

// trial is what a pattern makes of an event.
type trial struct {
	Time    time.Time
	Type    string
	Source  string
	About   []string
	Matched bool
	Why     string
}

type routeView struct {
	New      bool
	Rule     route.Rule
	On       bool
	Choices  []choice
	Others   []route.RuleTarget // targets that are no receivers
	Change   bool
	Examples []pair
	Event    string // of one's own, to try
	Tried    bool
	Problem  string // what is wrong with the pattern
	Trials   []trial
	Matched  int
}

func (o *Console) route() page {
	ask := func(actions ...string) func(r *request) []iam.Request {
		return func(r *request) (all []iam.Request) {
			for _, a := range actions {
				all = append(all, r.ask(a, o.config.Routes.RuleARN(cmp.Or(r.PostFormValue("bus"), route.DefaultBus), r.PostFormValue("name")))...)
			}
			return all
		}
	}
	return page{
		name: "route", path: "/routes/rule", under: "routes",
		asks: func(r *request) []iam.Request { return r.ask("events:ListRules", "") },
		view: o.routeView,
		actions: map[string]action{
			"/routes/rule": {asks: ask("events:PutRule", "events:PutTargets", "events:RemoveTargets"), do: o.putRule, again: func(r *request, problem error) (any, error) {
				v, err := o.formView(r)
				v.Problem = diag.Detail(problem)
				return v, err
			}},
			"/routes/rule/delete": {asks: ask("events:DeleteRule", "events:RemoveTargets"), do: o.deleteRule},
			"/routes/rule/test": {asks: func(r *request) []iam.Request {
				return append(r.ask("events:TestEventPattern", ""), r.ask("events:ListRules", "")...) // it shows the page, too
			}, show: o.testRule},
		},
	}
}

// examples are patterns to begin with.
var examples = []pair{
	{"new critical and high findings", `{"source": ["aws.securityhub"], "detail-type": ["Security Hub Findings - Imported"], "detail": {"findings": {"Severity": {"Label": ["CRITICAL", "HIGH"]}, "Workflow": {"Status": ["NEW"]}, "RecordState": ["ACTIVE"]}}}`},
	{"runs that failed", `{"source": ["aws.codepipeline"], "detail-type": ["CodePipeline Pipeline Execution State Change"], "detail": {"state": ["FAILED"]}}`},
	{"resources that break a rule", `{"source": ["aws.config"], "detail-type": ["Config Rules Compliance Change"], "detail": {"newEvaluationResult": {"complianceType": ["NON_COMPLIANT"]}}}`},
}

func (o *Console) routeView(r *request) (any, error) {
	v := routeView{On: true, Change: r.may("events:PutRule"), Examples: examples}
	bus, name := cmp.Or(r.FormValue("bus"), route.DefaultBus), r.FormValue("name")
	v.Rule.Bus = bus
	if name == "" {
		v.New, v.Rule.Pattern = true, cmp.Or(r.FormValue("pattern"), examples[0].Value)
		return v, o.fillTargets(r, &v, nil)
	}
	var err error
	if v.Rule, err = o.config.Routes.Rule(r.Context(), bus, name); err != nil {
		return nil, err
	}
	v.On = v.Rule.State != route.Disabled
	targets, err := o.targetsOf(r, bus, name)
	if err != nil {
		return nil, err
	}
	return v, o.fillTargets(r, &v, targets)
}

func (o *Console) targetsOf(r *request, bus, name string) ([]route.RuleTarget, error) {
	return everything(func(p route.Page) ([]route.RuleTarget, string, error) {
		return o.config.Routes.Targets(r.Context(), bus, name, p)
	})
}

func (o *Console) fillTargets(r *request, v *routeView, targets []route.RuleTarget) error {
	receivers, err := o.config.Routes.Receivers(r.Context())
	for _, c := range receivers {
		chosen := slices.ContainsFunc(targets, func(t route.RuleTarget) bool { return t.ARN == c.ARN })
		v.Choices = append(v.Choices, choice{c.ARN, c.Kind + "/" + c.Name, chosen})
	}
	for _, t := range targets {
		if !slices.ContainsFunc(receivers, func(c route.Receiver) bool { return c.ARN == t.ARN }) {
			v.Others = append(v.Others, t)
		}
	}
	return err
}

// ruleIn is the rule as the form says it.
func ruleIn(r *request) route.Rule {
	form := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	rule := route.Rule{
		Name: form("name"), Bus: cmp.Or(form("bus"), route.DefaultBus), Pattern: form("pattern"), Schedule: form("schedule"),
		Description: form("description"), State: route.Enabled,
	}
	if form("on") == "" {
		rule.State = route.Disabled
	}
	return rule
}

func (o *Console) putRule(r *request) (string, error) {
	rule := ruleIn(r)
	was, err := o.config.Routes.Rule(r.Context(), rule.Bus, rule.Name)
	switch {
	case err == nil && r.PostFormValue("new") != "":
		return "", fault.Exists.Errorf("%s", r.t("There is a rule of that name already."))
	case err == nil:
		rule.RoleARN = was.RoleARN
		if was.State == route.EnabledWithReads && rule.State == route.Enabled {
			rule.State = was.State
		}
	case fault.Of(err) != fault.NotFound:
		return "", err
	}
	if _, err := o.config.Routes.PutRule(r.Context(), rule, nil); err != nil {
		return "", err
	}
	if err := o.chooseTargets(r, rule); err != nil {
		return "", err
	}
	r.say("The rule was saved.")
	return rulePath(rule.Bus, rule.Name), nil
}

// chooseTargets has a rule tell the receivers that the form names, and no others; other targets stay.
func (o *Console) chooseTargets(r *request, rule route.Rule) error {
	targets, err := o.targetsOf(r, rule.Bus, rule.Name)
	if err != nil {
		return err
	}
	chosen := r.PostForm["tell"]
	var add []route.RuleTarget
	for _, arn := range chosen {
		if !slices.ContainsFunc(targets, func(t route.RuleTarget) bool { return t.ARN == arn }) {
			add = append(add, route.RuleTarget{ID: targetID(o.shortTarget(arn)), ARN: arn})
		}
	}
	var drop []string
	for _, t := range targets {
		if strings.HasPrefix(t.ARN, o.receiverPrefix()) && !slices.Contains(chosen, t.ARN) {
			drop = append(drop, t.ID)
		}
	}
	if len(add) > 0 {
		failed, err := o.config.Routes.PutTargets(r.Context(), rule.Bus, rule.Name, add...)
		if err == nil && len(failed) > 0 {
			err = fault.Invalid.Errorf("%s: %s", failed[0].TargetID, failed[0].Message)
		}
		if err != nil {
			return err
		}
	}
	if len(drop) > 0 {
		_, err = o.config.Routes.RemoveTargets(r.Context(), rule.Bus, rule.Name, drop...)
	}
	return err
}

// targetID is a name that EventBridge takes as a target's id.
func targetID(name string) string {
	id := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune(".-_", c) {
			return c
		}
		return '-'
	}, name)
	return id[:min(len(id), 64)]
}

func (o *Console) deleteRule(r *request) (string, error) {
	bus, name := cmp.Or(r.PostFormValue("bus"), route.DefaultBus), r.PostFormValue("name")
	targets, err := o.targetsOf(r, bus, name)
	if err != nil {
		return "", err
	}
	var ids []string
	for _, t := range targets {
		ids = append(ids, t.ID)
	}
	if len(ids) > 0 {
		if _, err := o.config.Routes.RemoveTargets(r.Context(), bus, name, ids...); err != nil {
			return "", err
		}
	}
	if err := o.config.Routes.DeleteRule(r.Context(), bus, name); err != nil {
		return "", err
	}
	r.say("The rule was deleted.")
	return "/routes", nil
}

// formView is the page with the form as it was filled in.
func (o *Console) formView(r *request) (v routeView, err error) {
	rule := ruleIn(r)
	v = routeView{New: r.PostFormValue("new") != "", Rule: rule, On: rule.State != route.Disabled, Change: r.may("events:PutRule"), Examples: examples, Event: strings.TrimSpace(r.PostFormValue("event"))}
	var kept []route.RuleTarget
	if !v.New {
		if kept, err = o.targetsOf(r, rule.Bus, rule.Name); err != nil && fault.Of(err) != fault.NotFound {
			return v, err
		}
	}
	err = o.fillTargets(r, &v, kept)
	for i, c := range v.Choices {
		v.Choices[i].Chosen = slices.Contains(r.PostForm["tell"], c.ARN)
	}
	return v, err
}

// testRule shows what the form's pattern makes of recent events; it changes nothing.
func (o *Console) testRule(r *request) (any, error) {
	v, err := o.formView(r)
	if err != nil {
		return nil, err
	}
	v.Tried = true
	if v.Event != "" {
		why, err := route.TestPattern(v.Rule.Pattern, v.Event)
		if err != nil {
			v.Problem = diag.Detail(err)
			return v, nil
		}
		v.add(trial{Type: r.t("your event"), Matched: why.Matched, Why: why.String()})
		return v, nil
	}
	pattern, err := match.Parse([]byte(v.Rule.Pattern))
	if err != nil {
		v.Problem = diag.Detail(err)
		return v, nil
	}
	events, err := o.recentEvents(r)
	if err != nil {
		return nil, err
	}
	for _, e := range slices.Backward(events) {
		text, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		why := pattern.Why(text)
		v.add(trial{Time: e.Time, Type: e.Type, Source: e.Source, About: e.Resources[:min(3, len(e.Resources))], Matched: why.Matched, Why: why.String()})
	}
	return v, nil
}

func (v *routeView) add(t trial) {
	v.Trials = append(v.Trials, t)
	if t.Matched {
		v.Matched++
	}
}

const recentEvents = 100

// recentEvents are the last events of the river, the oldest first: from a stretch that is just long enough.
func (o *Console) recentEvents(r *request) (last []event.Event, err error) {
	now := o.config.Now()
	for _, back := range []time.Duration{time.Minute, time.Hour, 24 * time.Hour, 30 * 24 * time.Hour} {
		last = nil
		for after, more := int64(0), true; more; {
			part, next, err := o.config.Bus.Range(r.Context(), now.Add(-back), now.Add(time.Second), after, 1000)
			if err != nil {
				return nil, err
			}
			last = append(last, part...)
			last = last[max(0, len(last)-recentEvents):]
			after, more = next, next != 0
		}
		if len(last) == recentEvents {
			break
		}
	}
	return last, nil
}
