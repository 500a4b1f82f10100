package iam_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/lang/iam"
	"pgregory.net/rapid"
)

var (
	someActions    = []string{"*", "s3:*", "s3:Get*", "s3:GetObject", "s3:PutObject", "sts:AssumeRole", "kms:Decrypt", "*:Get*"}
	someResources  = []string{"*", "arn:aws:s3:::a/*", "arn:aws:s3:::a/x", "arn:aws:s3:::${aws:username}/*", "arn:aws:iam::111122223333:role/r", "arn:aws:kms:*:*:key/*"}
	somePrincipals = []string{`"*"`, `{"AWS":"111122223333"}`, `{"AWS":"arn:aws:iam::111122223333:user/alice"}`, `{"AWS":"arn:aws:iam::111122223333:role/r"}`, `{"AWS":["arn:aws:iam::111122223333:user/alice","arn:aws:iam::111122223333:root"]}`, `{"Service":"lambda.amazonaws.com"}`}
	someConditions = []string{``, ``, `{"StringEquals":{"aws:username":"alice"}}`, `{"StringNotEquals":{"aws:PrincipalTag/team":"${aws:ResourceTag/team}"}}`, `{"Null":{"aws:PrincipalTag/team":"true"}}`, `{"ForAllValues:StringLike":{"aws:TagKeys":["a*"]}}`, `{"NumericLessThanIfExists":{"aws:MultiFactorAuthAge":"300"}}`, `{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`}
	someCallers    = []iam.Principal{
		{ARN: "arn:aws:iam::111122223333:user/alice", Account: "111122223333", Name: "alice", Type: "User"},
		{ARN: "arn:aws:iam::111122223333:role/r", Account: "111122223333", Type: "AssumedRole"},
		{ARN: "arn:aws:sts::111122223333:assumed-role/r/s", Account: "111122223333", Type: "AssumedRole"},
		{ARN: "arn:aws:iam::444455556666:user/bob", Account: "444455556666", Name: "bob", Type: "User"},
		{ARN: "arn:aws:iam::111122223333:root", Account: "111122223333", Type: "Account"},
		{Service: "lambda.amazonaws.com"}, {Type: "Anonymous"}, {Provider: "arn:aws:iam::111122223333:oidc-provider/git.example.com"},
	}
)

// A world is a request and all policies that apply, as statements.
type world struct {
	request                                                        iam.Request
	identity, boundary, session, resource, endpoint, control, rcps []string // nil: there is none
}

func drawStatements(t *rapid.T, label string, principals bool) []string {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return drawStatement(t, principals, "") }), 0, 6).Draw(t, label)
}

func drawStatement(t *rapid.T, principals bool, effect string) string {
	pick := func(all []string) string { return rapid.SampledFrom(all).Draw(t, "pick") }
	if effect == "" {
		effect = pick([]string{"Allow", "Allow", "Allow", "Deny"})
	}
	s := fmt.Sprintf(`{"Effect":%q,%q:%q,%q:%q`, effect, pick([]string{"Action", "Action", "NotAction"}), pick(someActions), pick([]string{"Resource", "Resource", "NotResource"}), pick(someResources))
	if principals {
		s += fmt.Sprintf(`,%q:%s`, pick([]string{"Principal", "Principal", "NotPrincipal"}), pick(somePrincipals))
	}
	if c := pick(someConditions); c != "" {
		s += `,"Condition":` + c
	}
	return s + `}`
}

func drawWorld(t *rapid.T) world {
	pick := func(all []string) string { return rapid.SampledFrom(all).Draw(t, "pick") }
	w := world{request: iam.Request{
		Principal: rapid.SampledFrom(someCallers).Draw(t, "caller"),
		Action:    pick([]string{"s3:GetObject", "s3:PutObject", "sts:AssumeRole", "kms:Decrypt"}),
		Resource:  pick([]string{"arn:aws:s3:::a/x", "arn:aws:s3:::alice/x", "arn:aws:iam::111122223333:role/r", "arn:aws:kms:us-east-1:111122223333:key/1", "*"}),
		Context:   map[string][]string{},
		Owner:     pick([]string{"", "111122223333"}),
	}}
	for _, pair := range [][]string{{"aws:PrincipalTag/team", "blue"}, {"aws:ResourceTag/team", "blue"}, {"aws:TagKeys", "a", "b"}, {"aws:MultiFactorAuthAge", "30"}, {"aws:SourceIp", "10.0.0.1"}} {
		if rapid.Bool().Draw(t, pair[0]) {
			w.request.Context[pair[0]] = pair[1:]
		}
	}
	w.request = w.request.Known()
	w.identity = drawStatements(t, "identity", false)
	// Half of the worlds are open where nothing denies: else most questions would end at once.
	open := rapid.Bool().Draw(t, "open")
	if open {
		w.identity = append(w.identity, `{"Effect":"Allow","Action":"*","Resource":"*"}`)
	}
	for _, layer := range []struct {
		of         *[]string
		principals bool
	}{{&w.boundary, false}, {&w.session, false}, {&w.resource, true}, {&w.endpoint, true}, {&w.control, false}} {
		if rapid.Bool().Draw(t, "there") {
			*layer.of = append([]string{}, drawStatements(t, "layer", layer.principals)...)
			if everybody := `,"Principal":"*"`; open && rapid.Bool().Draw(t, "wide") {
				if !layer.principals {
					everybody = ""
				}
				*layer.of = append(*layer.of, `{"Effect":"Allow","Action":"*","Resource":"*"`+everybody+`}`)
			}
		}
	}
	if rapid.Bool().Draw(t, "rcps") {
		w.rcps = []string{drawStatement(t, true, "Deny")}
	}
	return w
}

// policies compiles the world, each layer's statements in so many policies.
func (w world) policies(t *rapid.T, split bool) iam.Policies {
	compile := func(kind iam.Kind, statements []string) (all []*iam.Policy) {
		if statements == nil {
			return nil
		}
		texts := []string{strings.Join(statements, ",")}
		if split && kind != iam.Resource {
			texts = statements
		}
		all = []*iam.Policy{}
		for _, text := range texts {
			p, err := iam.ParseAs(kind, kind.String(), []byte(policy(text)))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}
		return all
	}
	p := iam.Policies{Identity: compile(iam.Identity, w.identity), Boundary: compile(iam.Identity, w.boundary), Session: compile(iam.Identity, w.session), Endpoint: compile(iam.Endpoint, w.endpoint)}
	if w.control != nil {
		p.ServiceControl = [][]*iam.Policy{compile(iam.ServiceControl, w.control)}
	}
	if w.rcps != nil {
		p.ResourceControl = [][]*iam.Policy{compile(iam.ResourceControl, w.rcps)}
	}
	if w.resource != nil {
		p.Resource = compile(iam.Resource, w.resource)[0]
	}
	return p
}

// The worlds are such that the properties below have something to say: each
// answer is common, by each layer, and a Deny or a limit more often turns an
// answer. Were they all denied from the start, the properties would hold of any engine.
func TestWorldsTell(t *testing.T) {
	const worlds = 3000
	outcomes, layers := map[iam.Outcome]int{}, map[iam.Layer]int{}
	turned, limited := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		for range worlds / 100 {
			w := drawWorld(t)
			p := w.policies(t, false)
			d := p.Decide(w.request)
			outcomes[d.Outcome]++
			layers[d.Layer]++
			if d.Outcome != iam.Allowed {
				continue
			}
			more := w
			more.identity = append(slices.Clone(w.identity), drawStatement(t, false, "Deny"))
			p = more.policies(t, false)
			if p.Decide(w.request).Outcome != iam.Allowed {
				turned++
			}
			more = w
			more.boundary = append([]string{}, drawStatements(t, "statements", false)...)
			p = more.policies(t, false)
			if p.Decide(w.request).Outcome != iam.Allowed {
				limited++
			}
		}
	})
	for _, o := range []iam.Outcome{iam.Allowed, iam.ImplicitlyDenied, iam.ExplicitlyDenied} {
		if outcomes[o] < worlds/20 {
			t.Errorf("%v is the answer %d times", o, outcomes[o])
		}
	}
	if len(layers) < 6 || turned < 20 || limited < 50 {
		t.Errorf("answers by %v; a Deny turned %d, a boundary %d", layers, turned, limited)
	}
}

// A Deny more, wherever it is put, never allows what was not allowed before.
func TestDenyNeverAllows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		p := w.policies(t, false)
		before := p.Decide(w.request).Outcome
		layers := []*[]string{&w.identity}
		for _, l := range []*[]string{&w.boundary, &w.session, &w.resource, &w.endpoint, &w.control, &w.rcps} {
			if *l != nil {
				layers = append(layers, l)
			}
		}
		i := rapid.IntRange(0, len(layers)-1).Draw(t, "where")
		at := rapid.IntRange(0, len(*layers[i])).Draw(t, "at")
		*layers[i] = slices.Insert(slices.Clone(*layers[i]), at, drawStatement(t, i > 0 && (layers[i] == &w.resource || layers[i] == &w.endpoint || layers[i] == &w.rcps), "Deny"))
		p = w.policies(t, false)
		if after := p.Decide(w.request).Outcome; before != iam.Allowed && after == iam.Allowed {
			t.Fatalf("%v, and with a Deny more %v", before, after)
		}
	})
}

// A boundary, a session policy, a level of SCPs or an endpoint's policy more
// never allows what was not allowed before.
func TestLimitNeverAllows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		limit := rapid.SampledFrom([]*[]string{&w.boundary, &w.session, &w.control, &w.endpoint}).Draw(t, "limit")
		*limit = nil
		p := w.policies(t, false)
		before := p.Decide(w.request).Outcome
		*limit = append([]string{}, drawStatements(t, "statements", limit == &w.endpoint)...)
		p = w.policies(t, false)
		if after := p.Decide(w.request).Outcome; before != iam.Allowed && after == iam.Allowed {
			t.Fatalf("%v, and with a limit more %v", before, after)
		}
	})
}

// Neither the order of statements matters, nor how they are spread over policies.
func TestOrderNeverMatters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		p := w.policies(t, false)
		before := p.Decide(w.request)
		for _, l := range []*[]string{&w.identity, &w.boundary, &w.session, &w.resource, &w.endpoint, &w.control} {
			if *l != nil {
				*l = append([]string{}, rapid.Permutation(*l).Draw(t, "order")...)
			}
		}
		p = w.policies(t, rapid.Bool().Draw(t, "split"))
		after := p.Decide(w.request)
		if before.Outcome != after.Outcome || before.Layer != after.Layer {
			t.Fatalf("%v by %v, and in another order %v by %v", before.Outcome, before.Layer, after.Outcome, after.Layer)
		}
	})
}

// What explains comes to what decides, and names the statement that decided.
func TestExplainAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		p := w.policies(t, false)
		e := p.Explain(w.request)
		if d := p.Decide(w.request); e.Decision != d {
			t.Fatalf("decided %+v, explained %+v", d, e.Decision)
		}
		if e.Policy == "" {
			return
		}
		for _, l := range e.Layers {
			for _, s := range l.Statements {
				if l.Layer == e.Layer && s.Statement == e.Statement && s.Policy == e.Policy && s.Matches && s.Deny == (e.Outcome == iam.ExplicitlyDenied) {
					return
				}
			}
		}
		t.Fatalf("the explanation %+v has no statement that decides", e)
	})
}

// What is said to be no wider allows nothing more, in no world; and what is
// said not to be granted is not allowed.
func TestComparisonsHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		kind := rapid.SampledFrom([]iam.Kind{iam.Identity, iam.Resource}).Draw(t, "kind")
		draw := func(label string) *iam.Policy {
			p, err := iam.ParseAs(kind, label, []byte(policy(strings.Join(drawStatements(t, label, kind == iam.Resource), ","))))
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		allowed := func(p *iam.Policy) bool {
			all := iam.Policies{Identity: []*iam.Policy{p}}
			if kind == iam.Resource {
				all = iam.Policies{Resource: p}
			}
			return all.Decide(w.request).Outcome == iam.Allowed
		}
		before, after := draw("before"), draw("after")
		if _, _, wider := after.Widens(before); !wider && allowed(after) && !allowed(before) && w.request.Principal.Type != "Account" {
			t.Fatal("no wider, and it allows more")
		}
		if _, _, granted := after.Grants([]string{w.request.Action}, []string{w.request.Resource}); !granted && allowed(after) && w.request.Principal.Type != "Account" {
			t.Fatal("not granted, and it allows")
		}
		if _, _, wider := after.Widens(after); wider && kind == iam.Identity {
			t.Fatal("wider than itself")
		}
	})
}
