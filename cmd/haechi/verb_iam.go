package main

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/haechi-dev/haechi/base/remote"
	"github.com/haechi-dev/haechi/door/reports"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/lang/iam/account"
	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/word/finding"
)

func iamVerb() verb {
	return verb{name: "iam", args: "simulate [POLICY…] | check POLICY… | who ACTION RESOURCE | paths", summary: "may this principal do that? who can? how could they get more?", help: `
  haechi iam simulate -principal arn:aws:iam::111122223333:user/kim \
      -action s3:GetObject -resource arn:aws:s3:::shop/x policy.json
  haechi iam simulate … -resource-policy bucket.json -boundary limit.json \
      -scp root.json -scp ou.json -context aws:SourceIp=10.0.0.1 policy.json
  haechi iam check policy.json            what AWS would refuse, what is too wide
  haechi iam check -kind trust trust.json
  haechi iam who -account snapshot.json s3:GetObject 'arn:aws:s3:::shop/*'
  haechi iam paths -account snapshot.json   how to become an administrator
  haechi iam paths -account snapshot.json -credentials report.csv -all
  haechi iam paths -account snapshot.json -all -format sarif
  haechi iam paths -account snapshot.json -all -report      and into the hub

The snapshot is what 'aws iam get-account-authorization-details' writes, the
report what 'aws iam get-credential-report' holds. It needs no server and no
cloud, but for -report, which sends what is found to a server. simulate exits 1
if it is not allowed, check and paths if something is found.
` + clientHelp, run: iamRun}
}

// iamFlags are those of all that the verb does; each refuses the others'.
type iamFlags struct {
	principal, action, resource, owner, resourcePolicy, kind, account, credentials *string
	boundary, session, endpoint, scp, rcp, context                                 *several
	trust, all, report                                                             *bool
	find                                                                           func() (*remote.Client, error)
}

// several is a flag that may be given more than once.
type several []string

// String is what the flag package shows as the default.
func (s *several) String() string { return strings.Join(*s, " ") }

// Set adds one.
func (s *several) Set(text string) error {
	*s = append(*s, text)
	return nil
}

func iamRun(ctx context.Context, c call, flags *flag.FlagSet) error {
	list := func(name, usage string) *several {
		s := new(several)
		flags.Var(s, name, usage)
		return s
	}
	f := iamFlags{
		principal:      flags.String("principal", "", "who asks: an ARN, a service such as lambda.amazonaws.com, an identity provider's ARN, or anonymous"),
		action:         flags.String("action", "", "what for, as s3:GetObject"),
		resource:       flags.String("resource", "*", "the ARN that is asked about; with a * in it: is there one such?"),
		owner:          flags.String("owner", "", "the resource's account, where its ARN does not say it"),
		resourcePolicy: flags.String("resource-policy", "", "file with the resource's policy; with -trust, the role's"),
		trust:          flags.Bool("trust", false, "the resource policy is a role's trust policy"),
		boundary:       list("boundary", "file with the permissions boundary"),
		session:        list("session", "file with a session policy"),
		endpoint:       list("endpoint", "file with a VPC endpoint's policy"),
		scp:            list("scp", "file with a service control policy; each is a level, the root first, of several joined by commas"),
		rcp:            list("rcp", "file with a resource control policy, as -scp"),
		context:        list("context", "KEY=VALUE of the request; several values of a key are several flags"),
		kind:           flags.String("kind", "identity", strings.Join(iam.KindNames(), ", ")),
		account:        flags.String("account", "", "file with a snapshot of an account"),
		credentials:    flags.String("credentials", "", "file with a credential report"),
		all:            flags.Bool("all", false, "all findings of the snapshot, not the escalations alone"),
		report:         flags.Bool("report", false, "paths: send what is found to a server, into the hub"),
		find:           func() (*remote.Client, error) { return findServer(c, "", "") }, // -endpoint is a policy here
	}
	format := formatFlag(flags, "table", "json", "asff", "sarif")
	rest, err := parse(c, flags, 1, -1)
	if err != nil {
		return err
	}
	shape, err := format()
	if err != nil {
		return err
	}
	if shape != "table" && shape != "json" && rest[0] != "paths" && rest[0] != "check" {
		return usagef("%s writes table or json", rest[0])
	}
	switch what := rest[0]; what {
	case "simulate":
		if err := only(flags, what, "principal", "action", "resource", "owner", "resource-policy", "trust", "boundary", "session", "endpoint", "scp", "rcp", "context", "format"); err != nil {
			return err
		}
		return f.simulate(c, rest[1:], shape)
	case "check":
		if err := only(flags, what, "kind", "format"); err != nil {
			return err
		}
		return f.check(c, rest[1:], shape)
	case "who":
		if err := only(flags, what, "account", "context", "owner", "resource-policy", "trust", "format"); err != nil {
			return err
		}
		return f.who(c, rest[1:], shape)
	case "paths":
		if err := only(flags, what, "account", "credentials", "all", "format", "report"); err != nil {
			return err
		}
		return f.paths(ctx, c, rest[1:], shape)
	default:
		return unknown(what, "simulate", "check", "who", "paths")
	}
}

// policyFile reads a file that a person named, or standard input for -.
func policyFile(c call, name string) ([]byte, error) {
	const most = 256 << 20
	if name == "-" {
		return io.ReadAll(io.LimitReader(c.stdin, most+1))
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, usagef("%w", err)
	}
	return text, nil
}

func policiesOf(c call, kind iam.Kind, files []string) ([]*iam.Policy, error) {
	var all []*iam.Policy
	for _, file := range files {
		text, err := policyFile(c, file)
		if err != nil {
			return nil, err
		}
		p, err := iam.ParseAs(kind, file, text)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func (f *iamFlags) policies(c call, identity []string) (p iam.Policies, err error) {
	for _, layer := range []struct {
		to    *[]*iam.Policy
		kind  iam.Kind
		files []string
	}{{&p.Identity, iam.Identity, identity}, {&p.Boundary, iam.Identity, *f.boundary}, {&p.Session, iam.Identity, *f.session}, {&p.Endpoint, iam.Endpoint, *f.endpoint}} {
		if *layer.to, err = policiesOf(c, layer.kind, layer.files); err != nil {
			return p, err
		}
	}
	for _, layer := range []struct {
		to    *[][]*iam.Policy
		kind  iam.Kind
		files []string
	}{{&p.ServiceControl, iam.ServiceControl, *f.scp}, {&p.ResourceControl, iam.ResourceControl, *f.rcp}} {
		for _, level := range layer.files {
			one, err := policiesOf(c, layer.kind, strings.Split(level, ","))
			if err != nil {
				return p, err
			}
			*layer.to = append(*layer.to, one)
		}
	}
	p.Resource, err = f.resourcePolicyOf(c)
	return p, err
}

func (f *iamFlags) resourcePolicyOf(c call) (*iam.Policy, error) {
	if *f.resourcePolicy == "" {
		return nil, nil
	}
	kind := iam.Resource
	if *f.trust {
		kind = iam.Trust
	}
	all, err := policiesOf(c, kind, []string{*f.resourcePolicy})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// principalOf is who an ARN or a name stands for.
func principalOf(text string) (iam.Principal, error) {
	parts := strings.SplitN(text, ":", 6)
	switch {
	case text == "anonymous":
		return iam.Principal{Type: "Anonymous"}, nil
	case strings.HasSuffix(text, ".amazonaws.com") && len(parts) == 1:
		return iam.Principal{Service: text}, nil
	case len(parts) != 6 || parts[0] != "arn" || len(parts[4]) != 12:
		return iam.Principal{}, usagef("-principal %q is no ARN of somebody, no service and not anonymous", text)
	}
	p := iam.Principal{ARN: text, Account: parts[4]}
	what, name, _ := strings.Cut(parts[5], "/")
	switch what {
	case "user":
		p.Type, p.Name = "User", name[strings.LastIndexByte(name, '/')+1:]
	case "role", "assumed-role":
		p.Type = "AssumedRole"
	case "federated-user":
		p.Type = "FederatedUser"
	case "root":
		p.Type, p.ID = "Account", parts[4]
	case "oidc-provider", "saml-provider":
		return iam.Principal{Provider: text}, nil
	default:
		return p, usagef("-principal %q is no user, role, session, root or identity provider", text)
	}
	return p, nil
}

func (f *iamFlags) contextOf() (map[string][]string, error) {
	all := map[string][]string{}
	for _, one := range *f.context {
		key, value, ok := strings.Cut(one, "=")
		if !ok || key == "" {
			return nil, usagef("-context is KEY=VALUE, not %q", one)
		}
		key = strings.ToLower(key)
		all[key] = append(all[key], value)
	}
	return all, nil
}

// said is a simulation as JSON.
type said struct {
	Outcome   string      `json:"outcome"`
	Layer     string      `json:"layer"`
	Policy    string      `json:"policy,omitzero"`
	Statement int         `json:"statement,omitzero"` // from 1
	Sid       string      `json:"sid,omitzero"`
	BlockedBy []string    `json:"blockedBy"`
	Note      string      `json:"note,omitzero"`
	Layers    []saidLayer `json:"layers"`
}

type saidLayer struct {
	Layer      string          `json:"layer"`
	Level      int             `json:"level"`
	Outcome    string          `json:"outcome"`
	Applies    bool            `json:"applies"`
	Statements []saidStatement `json:"statements"`
}

type saidStatement struct {
	Policy    string `json:"policy"`
	Statement int    `json:"statement"` // from 1
	Sid       string `json:"sid,omitzero"`
	Effect    string `json:"effect"`
	Matches   bool   `json:"matches"`
	Why       string `json:"why"`
}

func explained(e iam.Explanation) said {
	s := said{Outcome: e.Outcome.String(), Layer: e.Layer.String(), Policy: e.Policy, Sid: e.Sid, Note: e.Note, BlockedBy: []string{}, Layers: []saidLayer{}}
	if e.Policy != "" {
		s.Statement = e.Statement + 1
	}
	for _, l := range e.Blocked {
		s.BlockedBy = append(s.BlockedBy, l.String())
	}
	for _, l := range e.Layers {
		layer := saidLayer{Layer: l.Layer.String(), Level: l.Level, Outcome: l.Outcome.String(), Applies: l.Applies, Statements: []saidStatement{}}
		for _, one := range l.Statements {
			effect := "Allow"
			if one.Deny {
				effect = "Deny"
			}
			layer.Statements = append(layer.Statements, saidStatement{one.Policy, one.Statement + 1, one.Sid, effect, one.Matches, one.Why})
		}
		s.Layers = append(s.Layers, layer)
	}
	return s
}

func (f *iamFlags) simulate(c call, files []string, format string) error {
	if *f.action == "" || *f.principal == "" {
		return usagef("simulate needs -principal and -action")
	}
	who, err := principalOf(*f.principal)
	if err != nil {
		return err
	}
	context, err := f.contextOf()
	if err != nil {
		return err
	}
	policies, err := f.policies(c, files)
	if err != nil {
		return err
	}
	r := iam.Request{Principal: who, Action: *f.action, Resource: *f.resource, Owner: *f.owner, Context: context, Some: *f.resource != "*" && strings.ContainsAny(*f.resource, "*?")}
	e := policies.Explain(r.Known())
	s := explained(e)
	if format == "json" {
		if err := writeJSON(c.stdout, s); err != nil {
			return err
		}
	} else if err := s.table(c.stdout); err != nil {
		return err
	}
	if e.Outcome != iam.Allowed {
		return exit(exitWrong)
	}
	return nil
}

// table is a simulation for people: the answer, and what each layer said.
func (s said) table(w io.Writer) error {
	fmt.Fprint(w, s.Outcome)
	switch {
	case s.Policy != "":
		fmt.Fprintf(w, " by statement %d of %s", s.Statement, s.Policy)
	case s.Note != "":
		fmt.Fprintf(w, ": %s", s.Note)
	default:
		fmt.Fprintf(w, ": no %s policy allows it", s.Layer)
	}
	if len(s.BlockedBy) > 1 || len(s.BlockedBy) == 1 && (s.Policy == "" || s.BlockedBy[0] != s.Layer) {
		fmt.Fprintf(w, "; but for %s it were allowed", strings.Join(s.BlockedBy, ", "))
	}
	fmt.Fprint(w, "\n\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LAYER\tOUTCOME\tSTATEMENT\tEFFECT\tMATCHES\tWHY")
	for _, l := range s.Layers {
		name, outcome := l.Layer, l.Outcome
		if l.Layer == "scp" || l.Layer == "rcp" {
			name += fmt.Sprintf("[%d]", l.Level)
		}
		if !l.Applies {
			outcome = "-"
		}
		if len(l.Statements) == 0 {
			fmt.Fprintf(t, "%s\t%s\t-\t-\t-\tthere is no statement\n", name, outcome)
		}
		for _, one := range l.Statements {
			where := fmt.Sprintf("%s:%d", one.Policy, one.Statement)
			if one.Sid != "" {
				where += ":" + one.Sid
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", name, outcome, where, one.Effect, map[bool]string{true: "yes", false: "no"}[one.Matches], one.Why)
		}
	}
	return t.Flush()
}

// remarked is a remark as JSON.
type remarked struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Weight  string `json:"weight"`
	Rule    string `json:"rule"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitzero"`
}

func (f *iamFlags) check(c call, files []string, format string) error {
	if len(files) == 0 {
		return usagef("which policy? check needs a file")
	}
	kind, ok := iam.KindOf(*f.kind)
	if !ok {
		return usagef("-kind is %s, not %q", strings.Join(iam.KindNames(), ", "), *f.kind)
	}
	all := []remarked{}
	wrong := false
	for _, file := range files {
		text, err := policyFile(c, file)
		if err != nil {
			return err
		}
		for _, r := range iam.Check(kind, file, text) {
			wrong = wrong || r.Weight > iam.Suggestion
			all = append(all, remarked{file, r.Line, r.Column, r.Weight.String(), r.Rule, r.Message, r.Hint})
			if format == "table" {
				r.Message = fmt.Sprintf("%s: %s [%s]", r.Weight, r.Message, r.Rule)
				fmt.Fprintln(c.stdout, r.Detail())
			}
		}
	}
	switch {
	case format == "json":
		if err := writeJSON(c.stdout, all); err != nil {
			return err
		}
	case format == "sarif", format == "asff":
		if err := remarks(c, all, format); err != nil {
			return err
		}
	case len(all) == 0:
		fmt.Fprintln(c.stdout, "fine: nothing to remark")
	}
	if wrong {
		return exit(exitWrong)
	}
	return nil
}

// remarks are written as findings, each at its place in its file.
func remarks(c call, all []remarked, format string) error {
	scan := finding.Scan{Tool: "iam-check", Complete: true}
	now := time.Now()
	var found []finding.Finding
	for _, r := range all {
		severity := map[string]finding.Label{"mistake": finding.High, "warning": finding.Medium}[r.Weight]
		f := finding.Finding{
			GeneratorID: "haechi/iam-check/" + r.Rule, Types: []string{"Software and Configuration Checks/AWS Security Best Practices"},
			Severity: &finding.Severity{Label: cmp.Or(severity, finding.Low)}, Title: finding.Shorten(r.Message, 256), Description: finding.Shorten(r.Message, 1024),
			Resources:     []finding.Resource{{Type: "Other", ID: r.File}},
			ProductFields: map[string]string{finding.FieldFile: r.File, finding.FieldLine: fmt.Sprint(r.Line), finding.FieldColumn: fmt.Sprint(r.Column)},
		}
		if r.Hint != "" {
			f.Remediation = &finding.Remediation{Recommendation: &finding.Recommendation{Text: finding.Shorten(r.Hint, 512)}}
		}
		found = append(found, finding.Maker{Account: "000000000000", Region: "us-east-1"}.Own(scan, f, now))
	}
	if format == "sarif" {
		return report.SARIF(c.stdout, versionText(), []finding.Scan{scan}, found)
	}
	return report.ASFF(c.stdout, found)
}

// snapshotOf reads the snapshot, and says what it lacks.
func (f *iamFlags) snapshotOf(c call, what string) (*account.Account, error) {
	if *f.account == "" {
		return nil, usagef("%s needs -account FILE: aws iam get-account-authorization-details > FILE", what)
	}
	text, err := policyFile(c, *f.account)
	if err != nil {
		return nil, err
	}
	a, err := account.Parse(*f.account, text)
	if err != nil {
		return nil, err
	}
	const most = 20
	for i, u := range a.Unread {
		if i == most {
			fmt.Fprintf(c.stderr, "not known: %d more\n", len(a.Unread)-most)
			break
		}
		fmt.Fprintf(c.stderr, "not known: %s: %s\n", u.File, u.Why)
	}
	return a, nil
}

// able is somebody who can, as JSON.
type able struct {
	Principal string   `json:"principal"`
	May       string   `json:"may"`
	Through   []string `json:"through"` // roles to assume, in order
	Policy    string   `json:"policy"`
	Statement int      `json:"statement"` // from 1
}

func (f *iamFlags) who(c call, rest []string, format string) error {
	if len(rest) != 2 {
		return usagef("who needs an action and a resource: haechi iam who -account FILE s3:GetObject arn:aws:s3:::shop/x")
	}
	context, err := f.contextOf()
	if err != nil {
		return err
	}
	a, err := f.snapshotOf(c, "who")
	if err != nil {
		return err
	}
	q := account.Question{Action: rest[0], Resource: rest[1], Some: rest[1] != "*" && strings.ContainsAny(rest[1], "*?"), Context: context, Owner: *f.owner}
	if q.Policy, err = f.resourcePolicyOf(c); err != nil {
		return err
	}
	all := []able{}
	for _, answer := range a.Who(q) {
		one := able{Principal: answer.Principal.ARN, May: answer.May.String(), Through: []string{}, Policy: answer.By.Policy, Statement: answer.By.Statement + 1}
		for _, role := range answer.Chain {
			one.Through = append(one.Through, role.ARN)
		}
		all = append(all, one)
	}
	if format == "json" {
		return writeJSON(c.stdout, all)
	}
	if len(all) == 0 {
		fmt.Fprintln(c.stdout, "nobody")
		return nil
	}
	t := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MAY\tPRINCIPAL\tTHROUGH\tBY")
	for _, one := range all {
		through := "-"
		if len(one.Through) > 0 {
			through = strings.Join(one.Through, " > ")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\tstatement %d of %s\n", one.May, one.Principal, through, one.Statement, one.Policy)
	}
	return t.Flush()
}

func (f *iamFlags) paths(ctx context.Context, c call, rest []string, format string) error {
	if len(rest) > 0 {
		return usagef("%q is too much", rest[0])
	}
	if *f.account == "" && *f.credentials == "" {
		return usagef("paths needs -account FILE, or -credentials FILE")
	}
	now := time.Now()
	var all []finding.Finding
	var ways []account.Escalation
	id := ""
	if *f.account != "" {
		a, err := f.snapshotOf(c, "paths")
		if err != nil {
			return err
		}
		id = a.ID
		if *f.all {
			all = a.Review(now)
		} else {
			ways = a.Escalations()
			for _, e := range ways {
				all = append(all, e.Finding())
			}
		}
	}
	if *f.credentials != "" {
		text, err := policyFile(c, *f.credentials)
		if err != nil {
			return err
		}
		found, err := account.Credentials(filepath.ToSlash(*f.credentials), text, now)
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	return f.found(ctx, c, id, all, ways, format, now)
}

// send has a server take the findings as a report of this account, as haechi import does.
func (f *iamFlags) send(ctx context.Context, c call, id string, all []finding.Finding) error {
	client, err := f.find()
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := report.ASFF(&text, all); err != nil {
		return err
	}
	query := url.Values{"target": {id}, "tool": {account.Tool}}
	var a reports.Answer
	if err := client.Upload(ctx, "haechi", reports.Path+"?"+strings.ReplaceAll(query.Encode(), "+", "%20"), bytes.NewReader(text.Bytes()), &a); err != nil {
		return err
	}
	fmt.Fprintf(c.stderr, "sent: %d findings, %d new, %d closed\n", a.Findings, a.New, a.Closed)
	return nil
}

// found writes findings: as a table, what to do below, or as ASFF or SARIF; and sends them where that is asked for.
func (f *iamFlags) found(ctx context.Context, c call, id string, all []finding.Finding, ways []account.Escalation, format string, now time.Time) error {
	for i := range all {
		if parts := strings.SplitN(all[i].Resources[0].ID, ":", 6); len(parts) == 6 {
			id = parts[4]
		}
		all[i] = finding.Maker{Account: id, Region: "us-east-1"}.Own(finding.Scan{Tool: account.Tool, Target: id}, all[i], now)
	}
	if *f.report {
		if err := f.send(ctx, c, id, all); err != nil {
			return err
		}
	}
	switch {
	case format == "sarif":
		if err := report.SARIF(c.stdout, versionText(), []finding.Scan{{Tool: account.Tool, Target: id, Complete: true}}, all); err != nil {
			return err
		}
	case format == "json", format == "asff":
		if err := report.ASFF(c.stdout, all); err != nil {
			return err
		}
	case len(all) == 0:
		fmt.Fprintln(c.stdout, "fine: nothing is found")
	default:
		if err := report.Table(c.stdout, all, terminal(c.stdout), terminal(c.stdout) > 0 && c.env("NO_COLOR") == ""); err != nil {
			return err
		}
	}
	if format == "table" {
		for _, e := range ways {
			fmt.Fprintf(c.stdout, "\n%s\n", e.Principal.ARN)
			for i, s := range e.Steps {
				fmt.Fprintf(c.stdout, "  %d. %s (%s, %s): %s\n", i+1, s.How, s.Path, strings.Join(s.Actions, " + "), s.To)
			}
			fmt.Fprintf(c.stdout, "  cut: %s\n", all[slices.IndexFunc(all, func(f finding.Finding) bool { return f.Resources[0].ID == e.Principal.ARN })].Remediation.Recommendation.Text)
		}
	}
	if len(all) > 0 {
		return exit(exitWrong)
	}
	return nil
}
