package iam

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Every operator and every condition of the recorded cases answers as it must.
// Where the cases and AWS's documentation disagree, the case is named here
// with the stricter answer that we give.
func TestConformance(t *testing.T) {
	dir := os.Getenv("HAECHI_TESTDATA")
	if dir == "" {
		t.Skip("HAECHI_TESTDATA is not set: no recorded cases to look at")
	}
	dir = filepath.Join(dir, "iam")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no folder iam in HAECHI_TESTDATA")
	}
	run(t, filepath.Join(dir, "operators.jsonl"), "operators", func(line []byte) error {
		var c struct {
			Operator     string            `json:"operator"`
			Context      map[string]scalar `json:"requestContext"`
			PolicyValues []string          `json:"policyValues"`
			RequestValue scalar            `json:"requestValue"`
			Expected     bool              `json:"expected"`
		}
		if err := json.Unmarshal(line, &c); err != nil {
			return err
		}
		context := contextOf(c.Context)
		context["the:key"] = []string(c.RequestValue)
		return expect(caseCondition(c.Operator, "the:key", c.PolicyValues), context, c.Expected)
	})
	run(t, filepath.Join(dir, "conditions.jsonl"), "conditions", func(line []byte) error {
		var c struct {
			Context    map[string]scalar `json:"context"`
			Conditions []struct {
				Op     string   `json:"op"`
				Key    string   `json:"key"`
				Values []string `json:"values"`
			} `json:"conditions"`
			Expected string `json:"expected"`
		}
		if err := json.Unmarshal(line, &c); err != nil {
			return err
		}
		var all []condition
		for _, one := range c.Conditions {
			all = append(all, caseCondition(one.Op, one.Key, one.Values)...)
		}
		return expect(all, contextOf(c.Context), c.Expected == "Match")
	})
	core(t, filepath.Join(dir, "core"))
	run(t, filepath.Join(dir, "generated.jsonl"), "generated", func(line []byte) error {
		var c decisionCase
		if err := json.Unmarshal(line, &c); err != nil {
			return err
		}
		return c.check()
	})
}

// core runs the cases of a folder but those of Discovery, which is no question that AWS answers.
func core(t *testing.T, dir string) {
	var lines []byte
	err := filepath.WalkDir(dir, func(file string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(file) != ".json" {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var cases []jsontext.Value
		if err := json.Unmarshal(text, &cases); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for _, c := range cases {
			var mode struct {
				Simulation struct {
					Mode string `json:"mode"`
				} `json:"simulation"`
			}
			if err := json.Unmarshal(c, &mode); err != nil {
				return err
			}
			if mode.Simulation.Mode == "Discovery" {
				continue
			}
			if err := c.Compact(); err != nil {
				return err
			}
			lines = append(append(lines, c...), '\n')
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	count(t, lines, "core", func(line []byte) error {
		var c decisionCase
		if err := json.Unmarshal(line, &c); err != nil {
			return err
		}
		return c.check()
	})
}

// documented are the cases whose recorded answer is not what AWS documents,
// with the answer that we give for it.
//
//   - Variables hold a colon, ${aws:username}: the simulator that answered takes
//     it for one between the parts of the ARN, and the resource never matches.
//     To AWS the variable is one thing. In a Deny that is the stricter reading,
//     and in an Allow the simulator's is (gen-0113), which is taken there.
//   - A Deny with NotPrincipal leaves alone who is listed together with the
//     account. The simulator leaves alone everybody of a listed account.
var documented = map[string]Outcome{
	"gen-0259": ExplicitlyDenied, "gen-0260": ExplicitlyDenied, "gen-0262": ExplicitlyDenied, "gen-0934": ExplicitlyDenied,
	"gen-1083": ExplicitlyDenied, "gen-1255": ExplicitlyDenied, "gen-1605": ExplicitlyDenied, "gen-1647": ExplicitlyDenied,

	"gen-0156": ExplicitlyDenied, "gen-0380": ExplicitlyDenied, "gen-0464": ExplicitlyDenied, "gen-0791": ExplicitlyDenied, "gen-0942": ExplicitlyDenied,
	"gen-1637": ExplicitlyDenied, "gen-1670": ExplicitlyDenied, "gen-1774": ExplicitlyDenied, "gen-1885": ExplicitlyDenied, "gen-1958": ExplicitlyDenied,
}

// decisionCase is a request, all policies that apply to it, and the answer.
type decisionCase struct {
	Name    string `json:"name"`
	Request struct {
		Action   string `json:"action"`
		Resource struct {
			Resource  string `json:"resource"`
			AccountID string `json:"accountId"`
		} `json:"resource"`
		Principal    jsontext.Value    `json:"principal"`
		Context      map[string]scalar `json:"context"`
		WildcardOnly bool              `json:"wildcardOnlyAction"`
	} `json:"request"`
	Identity         []jsontext.Value `json:"identityPolicies"`
	Resource         jsontext.Value   `json:"resourcePolicy"`
	Boundaries       []jsontext.Value `json:"permissionBoundaries"`
	Session          jsontext.Value   `json:"sessionPolicy"`
	Endpoints        []jsontext.Value `json:"endpointPolicies"`
	ServiceControls  []caseLevel      `json:"serviceControlPolicies"`
	ResourceControls []caseLevel      `json:"resourceControlPolicies"`
	Expected         struct {
		Response  string   `json:"response"`
		BlockedBy []string `json:"blockedBy"`
	} `json:"expected"`
}

type caseLevel struct {
	Policies []jsontext.Value `json:"policies"`
}

func (c *decisionCase) check() error {
	r, err := c.request()
	if err != nil {
		return err
	}
	p := c.policies()
	d := p.Decide(r)
	if want, ok := documented[c.Name]; ok {
		if d.Outcome != want {
			return fmt.Errorf("%s: got %v, documented is %v", c.Name, d.Outcome, want)
		}
		return nil
	}
	if d.Outcome.String() != c.Expected.Response {
		return fmt.Errorf("%s: got %v by %v of %s, want %s", c.Name, d.Outcome, d.Layer, d.Policy, c.Expected.Response)
	}
	var blocked []string
	e := p.Explain(r)
	for _, l := range e.Blocked {
		blocked = append(blocked, l.String())
	}
	slices.Sort(blocked)
	want := slices.Sorted(slices.Values(c.Expected.BlockedBy))
	if len(want) > 0 && !slices.Equal(blocked, want) {
		return fmt.Errorf("%s: blocked by %v, want %v", c.Name, blocked, want)
	}
	if e.Decision != d {
		return fmt.Errorf("%s: explained as %v, decided %v", c.Name, e.Decision, d)
	}
	return nil
}

// request is the case's question. The federated users of the cases are named
// as the users who fetched the token, which their ARN does not say.
func (c *decisionCase) request() (Request, error) {
	r := Request{Action: c.Request.Action, Resource: c.Request.Resource.Resource, Owner: c.Request.Resource.AccountID, Context: map[string][]string{}}
	for k, v := range c.Request.Context {
		r.Context[strings.ToLower(k)] = v
	}
	r.Some = strings.Contains(r.Resource, "*") && !c.Request.WildcardOnly
	var text string
	if c.Request.Principal.Kind() != '"' {
		r.Principal.Type = "Anonymous"
		return r, nil
	}
	if err := json.Unmarshal(c.Request.Principal, &text); err != nil {
		return r, err
	}
	if !strings.HasPrefix(text, "arn:") {
		r.Principal.Service = text
		return r, nil
	}
	r.Principal.ARN = text
	if before, name, ok := strings.Cut(text, ":federated-user/"); ok {
		r.Principal.Issuer = strings.Replace(before, ":sts:", ":iam:", 1) + ":user/" + name
	}
	return r, nil
}

func (c *decisionCase) policies() *Policies {
	one := func(kind Kind, name string, text jsontext.Value) *Policy {
		p, mistakes := Accepted(kind, name, text)
		if p == nil {
			panic(mistakes[0])
		}
		return p
	}
	list := func(kind Kind, name string, texts []jsontext.Value) (all []*Policy) {
		if texts != nil {
			all = []*Policy{}
		}
		for _, t := range texts {
			all = append(all, one(kind, name, t))
		}
		return all
	}
	p := &Policies{Identity: list(Identity, "identity", c.Identity), Boundary: list(Identity, "boundary", c.Boundaries), Endpoint: list(Endpoint, "endpoint", c.Endpoints)}
	for _, l := range c.ServiceControls {
		p.ServiceControl = append(p.ServiceControl, list(ServiceControl, "scp", l.Policies))
	}
	for _, l := range c.ResourceControls {
		p.ResourceControl = append(p.ResourceControl, list(ResourceControl, "rcp", l.Policies))
	}
	if c.Session != nil {
		p.Session = []*Policy{one(Identity, "session", c.Session)}
	}
	if c.Resource != nil {
		p.Resource = one(Resource, "resource", c.Resource)
	}
	return p
}

// scalar is one value of a context, or a list.
type scalar []string

func (s *scalar) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() == '[' {
		return json.UnmarshalDecode(dec, (*[]string)(s))
	}
	var one string
	err := json.UnmarshalDecode(dec, &one)
	*s = scalar{one}
	return err
}

func contextOf(in map[string]scalar) map[string][]string {
	out := map[string][]string{}
	for k, v := range in {
		out[k] = v
	}
	return out
}

// caseCondition compiles a condition as the parser does, but keeps values that
// cannot be read: the cases ask what those answer.
func caseCondition(name, key string, values []string) []condition {
	o, _ := parseOperator(name)
	if o == nil {
		return nil
	}
	c := condition{operator: *o, key: strings.ToLower(key)}
	for _, v := range values {
		compiled, ok := o.family.compile(v, o.family.variables)
		if !ok {
			compiled = func(string, map[string][]string) answer { return unclear }
		}
		c.values = append(c.values, compiled)
	}
	return []condition{c}
}

func expect(all []condition, context map[string][]string, want bool) error {
	if len(all) == 0 {
		return fmt.Errorf("unknown operator")
	}
	got := true
	for _, c := range all {
		got = got && c.holds(context)
	}
	if got != want {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	return nil
}

func run(t *testing.T, file, name string, one func([]byte) error) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	count(t, text, name, one)
}

// count prints how many lines of a text are answered as they must be.
func count(t *testing.T, text []byte, name string, one func([]byte) error) {
	met, total := 0, 0
	var unmet []string
	for line := range bytes.Lines(text) {
		total++
		if err := one(line); err != nil {
			unmet = append(unmet, fmt.Sprintf("%s line %d: %v: %.300s", name, total, err, bytes.TrimSpace(line)))
		} else {
			met++
		}
	}
	extra := ""
	if name == "generated" {
		extra = fmt.Sprintf(" as_documented=%d", len(documented))
	}
	fmt.Printf("CONFORMANCE iam %s %d/%d%s\n", name, met, total, extra)
	for _, u := range unmet[:min(20, len(unmet))] {
		fmt.Println(u)
	}
	if met != total {
		t.Errorf("%s: %d of %d", name, met, total)
	}
}
