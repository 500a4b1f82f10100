package route

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/lang/strict"
	"go.yaml.in/yaml/v4"
)

// Desired is what files say that there should be: buses, configured targets,
// and rules with theirs. What came from files before and is in none of them any
// more is deleted; what was made by other means is left alone.
type Desired struct {
	Buses     []EventBus
	Receivers []DesiredReceiver
	Rules     []DesiredRule
}

// DesiredReceiver is a configured target. Its secrets are references, env:NAME or file:PATH.
type DesiredReceiver struct {
	Receiver
	References map[string]string
}

// DesiredRule is a rule and all its targets. Their ARN is a short name until
// Plan: KIND/NAME, bus/NAME, or an ARN as it is.
type DesiredRule struct {
	Rule    Rule
	Targets []RuleTarget
}

// File is a file of routes.
type File struct {
	Name string
	Text []byte
}

// The shape of a file of routes.
type (
	fileRoot struct {
		Buses   []fileBus    `yaml:"buses"`
		Targets []fileTarget `yaml:"targets"`
		Routes  []fileRoute  `yaml:"routes"`
	}
	fileBus struct {
		Name        yaml.Node `yaml:"name"`
		Description string    `yaml:"description"`
	}
	fileTarget struct {
		Name        yaml.Node            `yaml:"name"` // KIND/NAME
		Description string               `yaml:"description"`
		Settings    map[string]yaml.Node `yaml:"settings"`
		Wait        time.Duration        `yaml:"wait"`
		Interval    time.Duration        `yaml:"interval"`
		Repeat      time.Duration        `yaml:"repeat"`
		Burst       int                  `yaml:"burst"`
		Silent      bool                 `yaml:"silent"`
		Once        bool                 `yaml:"once"`
		Quiet       *yaml.Node           `yaml:"quiet"`
	}
	fileQuiet struct {
		From string `yaml:"from"`
		To   string `yaml:"to"`
		Zone string `yaml:"zone"`
	}
	fileRoute struct {
		Name        yaml.Node  `yaml:"name"`
		Bus         string     `yaml:"bus"`
		Description string     `yaml:"description"`
		Pattern     *yaml.Node `yaml:"pattern"` // keys and values, or JSON text
		Schedule    string     `yaml:"schedule"`
		Disabled    bool       `yaml:"disabled"`
		To          []fileTo   `yaml:"to"`
	}
	fileTo struct {
		Target     yaml.Node  `yaml:"target"` // KIND/NAME, bus/NAME or an ARN
		ID         string     `yaml:"id"`
		Input      *yaml.Node `yaml:"input"`
		InputPath  string     `yaml:"input-path"`
		Transform  *fileShape `yaml:"transform"`
		Retry      *fileRetry `yaml:"retry"`
		DeadLetter string     `yaml:"dead-letter"`
	}
	fileShape struct {
		Paths    map[string]string `yaml:"paths"`
		Template string            `yaml:"template"`
	}
	fileRetry struct {
		Attempts *int           `yaml:"attempts"`
		Age      *time.Duration `yaml:"age"`
	}
)

// ParseFiles reads files of routes. All that is wrong is told at once: errors
// of kind fault.Invalid with places. It looks at nothing but the files.
func ParseFiles(files ...File) (Desired, error) {
	p := fileParser{seen: map[string]bool{}}
	for _, f := range files {
		p.file = f
		var root fileRoot
		if err := strict.Unmarshal(f.Name, f.Text, &root); err != nil {
			p.errs = append(p.errs, err)
			continue
		}
		for i := range root.Buses {
			p.bus(&root.Buses[i])
		}
		for i := range root.Targets {
			p.target(&root.Targets[i])
		}
		for i := range root.Routes {
			p.route(&root.Routes[i])
		}
	}
	if len(p.errs) > 0 {
		return Desired{}, errors.Join(p.errs...)
	}
	return p.want, nil
}

type fileParser struct {
	file File
	want Desired
	seen map[string]bool
	errs []error
}

// wrong notes a mistake at a node.
func (p *fileParser) wrong(n *yaml.Node, err error) {
	if err != nil {
		p.errs = append(p.errs, strict.Errorf(p.file.Name, p.file.Text, n, "%s", err))
	}
}

// once notes names that are given twice.
func (p *fileParser) once(n *yaml.Node, what, name string) {
	if p.seen[what+" "+name] {
		p.wrong(n, fmt.Errorf("%s %s is there already", what, name))
	}
	p.seen[what+" "+name] = true
}

func (p *fileParser) bus(f *fileBus) {
	b := EventBus{Name: f.Name.Value, Description: f.Description, Origin: fromFile}
	if !validName(b.Name, 256, ".-_/") {
		p.wrong(&f.Name, fmt.Errorf("bus %q: a name is letters, digits, dots, dashes, underscores and slashes", b.Name))
	}
	p.wrong(&f.Name, b.check())
	p.once(&f.Name, "bus", b.Name)
	p.want.Buses = append(p.want.Buses, b)
}

func (p *fileParser) target(f *fileTarget) {
	kindName, name, _ := strings.Cut(f.Name.Value, "/")
	c := DesiredReceiver{References: map[string]string{}, Receiver: Receiver{Kind: kindName, Name: name, Description: f.Description, Origin: fromFile, Once: f.Once, Settings: map[string]string{},
		Pacing: Pacing{Wait: Span(f.Wait), Interval: Span(f.Interval), Repeat: Span(f.Repeat), Burst: f.Burst, Silent: f.Silent}}}
	p.once(&f.Name, "target", f.Name.Value)
	kind, err := kindOf(kindName)
	if err != nil {
		p.wrong(&f.Name, fmt.Errorf("%w; a target's name is KIND/NAME", err))
		return
	}
	p.wrong(&f.Name, checkName("target", name, 64))
	for key, value := range f.Settings {
		if value.Kind != yaml.ScalarNode {
			p.wrong(&value, fmt.Errorf("setting %s is not a text", key))
			continue
		}
		if !kind.secret(key) {
			c.Settings[key] = value.Value
			continue
		}
		if !strings.HasPrefix(value.Value, "env:") && !strings.HasPrefix(value.Value, "file:") {
			p.wrong(&value, fmt.Errorf("%s is a secret: write env:NAME or file:PATH, not the secret itself", key))
		}
		c.References[key] = value.Value
	}
	if f.Quiet != nil {
		var q fileQuiet
		if err := p.inner(f.Quiet, &q); err == nil {
			c.Pacing.Quiet = Quiet(q)
			_, _, _, err := c.Pacing.Quiet.parse()
			p.wrong(f.Quiet, err)
		}
	}
	check := c.Receiver
	check.Pacing.Quiet = Quiet{}
	check.Secrets = standIns(c.References)
	p.wrong(&f.Name, kind.check(check))
	p.want.Receivers = append(p.want.Receivers, c)
}

// inner reads a part of the file.
func (p *fileParser) inner(n *yaml.Node, into *fileQuiet) error {
	if n.Kind != yaml.MappingNode {
		err := fmt.Errorf("keys and values are wanted here: from, to, zone")
		p.wrong(n, err)
		return err
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch key.Value {
		case "from":
			into.From = value.Value
		case "to":
			into.To = value.Value
		case "zone":
			into.Zone = value.Value
		default:
			err := fmt.Errorf("unknown key %q; there are from, to and zone", key.Value)
			p.wrong(key, err)
			return err
		}
	}
	return nil
}

func (k Kind) secret(field string) bool {
	for _, f := range k.Fields {
		if f.Name == field {
			return f.Secret
		}
	}
	return false
}

func (p *fileParser) route(f *fileRoute) {
	rule := Rule{Name: f.Name.Value, Bus: busName(f.Bus), Description: f.Description, Schedule: f.Schedule, State: Enabled}
	if f.Disabled {
		rule.State = Disabled
	}
	if f.Pattern != nil {
		text, err := strict.JSON(f.Pattern)
		if err == nil {
			_, err = parsePattern(string(text))
		}
		if err != nil {
			p.wrong(f.Pattern, err)
		}
		rule.Pattern = string(text)
	}
	if f.Pattern == nil || rule.Pattern != "" {
		without := rule
		if f.Pattern != nil {
			without.Pattern = `{"checked":["already"]}`
		}
		p.wrong(&f.Name, without.check())
	}
	p.once(&f.Name, "route", rule.Bus+"/"+rule.Name)
	want := DesiredRule{Rule: rule}
	ids := map[string]bool{}
	for i := range f.To {
		t := p.to(&f.To[i])
		if ids[t.ID] {
			p.wrong(&f.To[i].Target, fmt.Errorf("two targets of route %s have the id %q; give one of them another", rule.Name, t.ID))
		}
		ids[t.ID] = true
		want.Targets = append(want.Targets, t)
	}
	p.want.Rules = append(p.want.Rules, want)
}

func (p *fileParser) to(f *fileTo) RuleTarget {
	name := f.Target.Value
	t := RuleTarget{ID: cmp.Or(f.ID, idOf(name)), ARN: name, InputPath: f.InputPath}
	if name == "" || !strings.Contains(name, "/") && !strings.HasPrefix(name, "arn:") {
		p.wrong(&f.Target, fmt.Errorf("target %q is not KIND/NAME, bus/NAME or an ARN", name))
	}
	p.wrong(&f.Target, checkName("target", t.ID, 64))
	if f.Input != nil {
		text, err := strict.JSON(f.Input)
		p.wrong(f.Input, err)
		t.Input = string(text)
	}
	if f.Transform != nil {
		t.Transformer = &Transformer{Paths: f.Transform.Paths, Template: strings.TrimSpace(f.Transform.Template)}
	}
	if f.Retry != nil {
		t.Retry = &RetryPolicy{Attempts: f.Retry.Attempts}
		if f.Retry.Age != nil {
			seconds := int(*f.Retry.Age / time.Second)
			t.Retry.Age = &seconds
		}
	}
	if f.DeadLetter != "" {
		t.DeadLetter = &DeadLetter{f.DeadLetter}
	}
	_, err := compile(t.Input, t.InputPath, t.Transformer)
	p.wrong(&f.Target, err)
	p.wrong(&f.Target, t.Retry.check())
	return t
}

// idOf makes a target's id of its name.
func idOf(name string) string {
	id := strings.Map(func(r rune) rune {
		if validName(string(r), 4, ".-_") {
			return r
		}
		return '-'
	}, name)
	return id[max(0, len(id)-64):]
}
