package iam

import (
	"fmt"
	"slices"
	"strings"
)

// An Explanation is a decision with all that led to it.
type Explanation struct {
	Decision
	// Blocked are the layers that turned down what the others would have allowed.
	Blocked []Layer
	Layers  []LayerSays // those that were asked, in the order of asking
	Note    string      // what the service does of itself, or ""
}

// LayerSays is what one layer says to a request.
type LayerSays struct {
	Layer      Layer
	Level      int // of an organisation, the root's is 0
	Outcome    Outcome
	Applies    bool // false where the layer limits nobody of that kind
	Statements []StatementSays
}

// StatementSays is what one statement says to a request.
type StatementSays struct {
	Policy    string
	Statement int
	Sid       string
	Deny      bool
	Matches   bool
	Why       string // why it does not match, and what it saw; or how it does
	Text      string // the statement as it was written
}

// Explain decides again, at leisure, and says why: which statement of which
// policy allowed or denied, which layer turned the request down, and of those
// that did not match, what did not hold and what was seen instead.
func (p *Policies) Explain(r Request) Explanation {
	e := Explanation{Decision: p.Decide(r)}
	var q query
	q.read(r)
	var t tally
	p.count(&t, &q, false)
	if e.Decision.Layer == ByService {
		e.Note = p.note(e.Decision)
	}
	p.layers(&e, &q)
	if e.Outcome != Allowed {
		e.Blocked = p.blocked(t, &q)
	}
	return e
}

func (p *Policies) note(d Decision) string {
	switch {
	case d.Outcome == Allowed:
		return "who one is, everybody may ask, whatever policies say"
	case p.BlockPublic:
		return "public access to the resource is blocked for other accounts"
	}
	return "it is kept by the service: nobody may change or pass it on"
}

// blocked are the layers but for which the request were allowed; none where
// nothing grants it.
func (p *Policies) blocked(t tally, q *query) (all []Layer) {
	lift := func(l Layer) {
		all = append(all, l)
		t[l].voice = false
	}
	for l := range t {
		if t[l].denies() {
			lift(Layer(l))
		}
	}
	for {
		switch l := p.judge(&t, q); l {
		case -1:
			slices.Sort(all)
			return slices.Compact(all)
		case ByServiceControl, ByResourceControl, ByEndpoint, ByBoundary:
			lift(l)
		default:
			return nil
		}
	}
}

// layers asks every layer statement by statement.
func (p *Policies) layers(e *Explanation, q *query) {
	add := func(l Layer, level int, applies bool, policies ...*Policy) {
		says := LayerSays{Layer: l, Level: level, Applies: applies}
		var v vote
		for _, one := range policies {
			one.vote(&v, q)
			for i := range one.statements {
				says.Statements = append(says.Statements, one.says(i, q))
			}
		}
		switch {
		case v.denies():
			says.Outcome = ExplicitlyDenied
		case v.grant > ungranted || l == ByResourceControl:
			says.Outcome = Allowed
		}
		e.Layers = append(e.Layers, says)
	}
	local := q.who.local()
	for i, level := range p.ServiceControl {
		add(ByServiceControl, i, local && !q.who.linked(), level...)
	}
	for i, level := range p.ResourceControl {
		add(ByResourceControl, i, true, level...)
	}
	if p.Endpoint != nil {
		add(ByEndpoint, 0, true, p.Endpoint...)
	}
	if p.Resource != nil {
		add(ByResource, 0, true, p.Resource)
	}
	if p.Boundary != nil {
		add(ByBoundary, 0, local, p.Boundary...)
	}
	if p.Session != nil {
		add(BySession, 0, local, p.Session...)
	}
	add(ByIdentity, 0, local, p.Identity...)
}

// says is what one statement has to say.
func (p *Policy) says(i int, q *query) StatementSays {
	s := &p.statements[i]
	says := StatementSays{Policy: p.Name, Statement: i, Sid: s.sid, Deny: s.deny, Text: p.text[s.place:s.end]}
	says.Why = p.lacks(s, q)
	if says.Matches = says.Why == ""; says.Matches {
		says.Why = "it is about this principal, action and resource, and its conditions hold"
		if len(s.conditions) == 0 {
			says.Why = "it is about this principal, action and resource"
		}
		if p.kind.principals() && !s.deny && s.grants(q) == delegated {
			says.Why = "it names the account only: the account's own policies decide"
		}
	}
	return says
}

// lacks is the first thing for which a statement does not match, or "".
func (p *Policy) lacks(s *statement, q *query) string {
	who := q.request.Principal
	if p.kind.principals() && s.grants(q) == ungranted {
		switch {
		case s.unnamed:
			return "it names no principal"
		case s.notPrincipals:
			return "its NotPrincipal leaves out " + callerWord(who)
		}
		return fmt.Sprintf("its principal is %s, not %s", listed(s.principalTexts()), callerWord(who))
	}
	if s.covers(q) == s.notActions {
		return fmt.Sprintf("its %s %s %s", word(s.notActions, "NotAction", "Action"), listed(s.actionTexts()), verdictWord(s.notActions, q.request.Action))
	}
	if !s.about(q) {
		if i := slices.IndexFunc(s.resources, func(r arn) bool { return r.bare }); i >= 0 && !s.deny && !s.notThose && s.resources[i].matchResource(&q.resource, q.request.Context) {
			return fmt.Sprintf("its Resource %s has nothing but a variable for a name, which in an Allow is about nothing here: put text beside it", s.resources[i].text)
		}
		return fmt.Sprintf("its %s %s %s", word(s.notThose, "NotResource", "Resource"), listed(s.resourceTexts()), verdictWord(s.notThose, q.request.Resource))
	}
	for i := range s.conditions {
		c := &s.conditions[i]
		switch {
		case c.unknown && !s.deny:
			return fmt.Sprintf("its condition %s is not understood", c.name)
		case q.open(c.key):
			if s.deny {
				return fmt.Sprintf("its condition on %s is supposed not to hold", c.key)
			}
		case !c.unknown && !c.holds(q.request.Context):
			return c.lacks(q.request.Context)
		}
	}
	return ""
}

// lacks says what a condition wants and what it saw.
func (c *condition) lacks(context map[string][]string) string {
	saw := "the key is absent"
	if got := lookup(context, c.key); len(got) > 0 {
		saw = "saw " + listed(got)
		if len(got) > 1 && c.operator.set == "" && !c.operator.null {
			saw += ", and several values need ForAllValues or ForAnyValue"
		}
	}
	text := fmt.Sprintf("its condition %s %s %s does not hold: %s", c.name, c.key, listed(c.texts), saw)
	for _, t := range c.texts {
		if c.operator.family.variables && strings.Contains(t, "${") {
			if filled, ok := show(t, context); ok {
				text += fmt.Sprintf("; %s is %q", t, filled)
			} else {
				text += fmt.Sprintf("; %s has no value", t)
			}
		}
	}
	return text
}

// show fills in a text's variables, for people.
func show(text string, context map[string][]string) (string, bool) {
	g := literal(text, true)
	if g.shape == exact {
		return g.text, true
	}
	filled, ok := g.fill(nil, context)
	return string(filled), ok
}

func callerWord(p Principal) string {
	for _, name := range []string{p.ARN, p.Service, p.Provider} {
		if name != "" {
			return name
		}
	}
	return "an anonymous caller"
}

func word(not bool, yes, no string) string {
	if not {
		return yes
	}
	return no
}

func verdictWord(not bool, what string) string {
	return word(not, "names ", "does not cover ") + what
}

// listed shows the first few of a list.
func listed(all []string) string {
	const most = 4
	shown := slices.Clone(all[:min(len(all), most)])
	if len(all) > most {
		shown = append(shown, fmt.Sprintf("and %d more", len(all)-most))
	}
	return strings.Join(shown, ", ")
}

func (s *statement) principalTexts() (all []string) {
	for _, p := range s.principals {
		all = append(all, p.text)
	}
	return all
}

func (s *statement) actionTexts() (all []string) {
	for _, a := range s.actions {
		all = append(all, a.text)
	}
	return all
}

func (s *statement) resourceTexts() (all []string) {
	for _, r := range s.resources {
		all = append(all, r.text)
	}
	return all
}
