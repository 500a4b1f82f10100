package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
)

// ApprovalRule asks for approvals of one pull request, as CodeCommit has them.
type ApprovalRule struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Content  string    `json:"content"`
	SHA256   string    `json:"sha256"`
	Template Origin    `json:"template,omitzero"` // it came from
	Created  time.Time `json:"created"`
	Modified time.Time `json:"modified"`
	By       string    `json:"by"`
}

// Origin is the template that a rule came from.
type Origin struct{ ID, Name string }

// Template is an approval rule that the pull requests of some repositories get when they are opened.
type Template struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitzero"`
	Content     string    `json:"content"`
	SHA256      string    `json:"sha256"`
	Created     time.Time `json:"created"`
	Modified    time.Time `json:"modified"`
	By          string    `json:"by"`
}

// approvers is the content of an approval rule.
type approvers struct {
	Version    string     `json:"Version"`
	References []string   `json:"DestinationReferences,omitzero"`
	Statements []approval `json:"Statements"`
}

type approval struct {
	Type   string   `json:"Type"`
	Needed int      `json:"NumberOfApprovalsNeeded"`
	Pool   []string `json:"ApprovalPoolMembers,omitzero"` // nobody named: anybody
}

const (
	mostContent = 3000
	mostRules   = 30
)

// parseApprovers reads the content of an approval rule, or of a template.
func parseApprovers(content string, template bool) (a approvers, err error) {
	if len(content) > mostContent {
		return a, fault.Limit.Errorf("the content of an approval rule has at most %d bytes", mostContent)
	}
	if err := json.Unmarshal([]byte(content), &a, json.RejectUnknownMembers(true)); err != nil {
		return a, fault.Invalid.Errorf("%w: %v", ErrContent, err)
	}
	switch {
	case a.Version != "2018-11-08":
		return a, fault.Invalid.Errorf("%w: its Version is 2018-11-08, not %q", ErrContent, a.Version)
	case len(a.Statements) == 0 || len(a.Statements) > 10:
		return a, fault.Invalid.Errorf("%w: it has 1 to 10 Statements", ErrContent)
	case len(a.References) > 0 && !template:
		return a, fault.Invalid.Errorf("%w: DestinationReferences are a template's", ErrContent)
	}
	for _, st := range a.Statements {
		if st.Type != "Approvers" {
			return a, fault.Invalid.Errorf("%w: a statement's Type is Approvers, not %q", ErrContent, st.Type)
		}
		if st.Needed < 1 || st.Needed > 100 {
			return a, fault.Invalid.Errorf("%w: NumberOfApprovalsNeeded is 1 to 100", ErrContent)
		}
		for _, m := range st.Pool {
			if !strings.HasPrefix(m, "arn:") && !strings.HasPrefix(m, "CodeCommitApprovers:") {
				return a, fault.Invalid.Errorf("%w: %q is no member of a pool: ARNs and CodeCommitApprovers:ACCOUNT:NAME are", ErrContent, m)
			}
		}
	}
	for _, ref := range a.References {
		if !strings.HasPrefix(ref, "refs/heads/") {
			return a, fault.Invalid.Errorf("%w: %q is no reference of a branch, such as refs/heads/main", ErrContent, ref)
		}
	}
	return a, nil
}

// counts tells whether an approval of somebody counts for the statement.
func (a approval) counts(who Person) bool {
	return len(a.Pool) == 0 || slices.ContainsFunc(a.Pool, func(m string) bool { return pooled(m, who.ARN) })
}

// pooled tells whether a member of a pool means somebody: an ARN in which * stands for anything, or
// CodeCommitApprovers:ACCOUNT:NAME, where NAME is a user's, or ROLE/SESSION.
func pooled(member, arn string) bool {
	rest, short := strings.CutPrefix(member, "CodeCommitApprovers:")
	if !short {
		return glob(member, arn)
	}
	account, name, ok := strings.Cut(rest, ":")
	f := strings.SplitN(arn, ":", 6)
	if !ok || len(f) != 6 || f[4] != account {
		return false
	}
	kind, of, _ := strings.Cut(f[5], "/")
	switch kind {
	case "user", "federated-user":
		return glob(name, of[strings.LastIndexByte(of, '/')+1:])
	case "assumed-role":
		return strings.ContainsAny(name, "/*") && glob(name, of)
	}
	return false
}

// glob tells whether text is what pattern says, in which * stands for anything.
func glob(pattern, text string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	if !strings.HasPrefix(text, first) {
		return false
	}
	text = text[len(first):]
	for {
		part, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(text, part)
		}
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text, rest = text[i+len(part):], after
	}
}

func hash(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// changeRule changes the rules of an open pull request and tells of it.
func (s *Source) changeRule(ctx context.Context, number int64, by, event, happened string, change func(*Pull) (ApprovalRule, error)) (rule ApprovalRule, err error) {
	if _, err := s.open(ctx, number, ""); err != nil {
		return rule, err
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		p, err := findPull(tx, number)
		if err != nil {
			return err
		}
		if rule, err = change(&p); err != nil {
			return err
		}
		p.Updated = s.config.Now().UTC()
		if err := keepPull(tx, p); err != nil {
			return err
		}
		if err := s.note(tx, p, Happened{Type: happened, Who: by, Rule: rule.Name, RuleID: rule.ID, Content: rule.Content}); err != nil {
			return err
		}
		return s.tellPull(tx, p, event, by, func(d *PullDetail) { d.ApprovalRuleName = rule.Name })
	})
	return rule, err
}

// AddRule asks for more approvals of a pull request.
func (s *Source) AddRule(ctx context.Context, number int64, by, name, content string) (ApprovalRule, error) {
	if _, err := parseApprovers(content, false); err != nil {
		return ApprovalRule{}, err
	}
	if name == "" || len(name) > 100 {
		return ApprovalRule{}, fault.Invalid.Errorf("the name of an approval rule has 1 to 100 characters")
	}
	return s.changeRule(ctx, number, by, "pullRequestApprovalRuleCreated", HappenedRuleMade, func(p *Pull) (ApprovalRule, error) {
		now := s.config.Now().UTC()
		r := ApprovalRule{ID: bus.ID(), Name: name, Content: content, SHA256: hash(content), Created: now, Modified: now, By: by}
		if p.rule(name) >= 0 {
			return r, fault.Exists.Errorf("pull request %d has an approval rule %q already", number, name)
		}
		if len(p.Rules) >= mostRules {
			return r, fault.Limit.Errorf("a pull request has at most %d approval rules", mostRules)
		}
		p.Rules = append(p.Rules, r)
		return r, nil
	})
}

func (p *Pull) rule(name string) int {
	return slices.IndexFunc(p.Rules, func(r ApprovalRule) bool { return r.Name == name })
}

// ChangeRule gives an approval rule another content, if it still has the one whose hash is was; "" is any.
func (s *Source) ChangeRule(ctx context.Context, number int64, by, name, was, content string) (ApprovalRule, error) {
	if _, err := parseApprovers(content, false); err != nil {
		return ApprovalRule{}, err
	}
	return s.changeRule(ctx, number, by, "pullRequestApprovalRuleUpdated", HappenedRule, func(p *Pull) (ApprovalRule, error) {
		i := p.rule(name)
		switch {
		case i < 0:
			return ApprovalRule{}, fault.NotFound.Errorf("pull request %d has no approval rule %q", number, name)
		case p.Rules[i].Template.ID != "":
			return ApprovalRule{}, fault.Conflict.Errorf("%q: %w", name, ErrFromATemplate)
		case was != "" && was != p.Rules[i].SHA256:
			return ApprovalRule{}, fault.Conflict.Errorf("%q: %w", name, ErrHash)
		}
		r := &p.Rules[i]
		r.Content, r.SHA256, r.Modified, r.By = content, hash(content), s.config.Now().UTC(), by
		return *r, nil
	})
}

// DropRule takes an approval rule away. What a template asks for is only overridden.
func (s *Source) DropRule(ctx context.Context, number int64, by, name string) (ApprovalRule, error) {
	return s.changeRule(ctx, number, by, "pullRequestApprovalRuleDeleted", HappenedRuleGone, func(p *Pull) (ApprovalRule, error) {
		i := p.rule(name)
		if i < 0 {
			return ApprovalRule{}, nil
		}
		r := p.Rules[i]
		if r.Template.ID != "" {
			return r, fault.Conflict.Errorf("%q: %w", name, ErrFromATemplate)
		}
		p.Rules = slices.Delete(p.Rules, i, i+1)
		return r, nil
	})
}

// fromTemplates are the rules that a new pull request gets.
func (s *Source) fromTemplates(tx *db.Tx, p Pull) (rules []ApprovalRule, err error) {
	all, err := db.All(tx, scanTemplate, "SELECT t.body FROM source_templates t JOIN source_template_uses u ON u.template = t.name WHERE u.repository = ? ORDER BY t.name", p.Repository)
	if err != nil {
		return nil, err
	}
	for _, t := range all {
		a, err := parseApprovers(t.Content, true)
		if err != nil {
			return nil, fmt.Errorf("approval rule template %q: %w", t.Name, err)
		}
		if len(a.References) > 0 && !slices.Contains(a.References, p.Target) {
			continue
		}
		a.References = nil
		content, err := json.Marshal(a)
		if err != nil {
			return nil, err
		}
		rules = append(rules, ApprovalRule{ID: bus.ID(), Name: t.Name, Content: string(content), SHA256: hash(string(content)), Template: Origin{t.ID, t.Name}, Created: p.Created, Modified: p.Created, By: t.By})
	}
	return rules, nil
}

func scanTemplate(scan db.Scan) (t Template, err error) {
	var body []byte
	if err := scan(&body); err != nil {
		return t, err
	}
	return t, json.Unmarshal(body, &t)
}

func keepTemplate(tx *db.Tx, t Template) error {
	body, err := json.Marshal(t)
	if err != nil {
		return err
	}
	_, err = tx.Exec("INSERT INTO source_templates (name, body) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body", t.Name, body)
	return err
}

func findTemplate(tx *db.Tx, name string) (Template, error) {
	t, err := db.One(tx, scanTemplate, "SELECT body FROM source_templates WHERE name = ?", name)
	if errors.Is(err, fault.NotFound) {
		return t, fault.NotFound.Errorf("there is no approval rule template %q", name)
	}
	return t, err
}

// CreateTemplate keeps a new template.
func (s *Source) CreateTemplate(ctx context.Context, t Template) (Template, error) {
	if _, err := parseApprovers(t.Content, true); err != nil {
		return t, err
	}
	if t.Name == "" || len(t.Name) > 100 {
		return t, fault.Invalid.Errorf("the name of a template has 1 to 100 characters")
	}
	now := s.config.Now().UTC()
	t.ID, t.SHA256, t.Created, t.Modified = bus.ID(), hash(t.Content), now, now
	return t, s.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := findTemplate(tx, t.Name); err == nil {
			return fault.Exists.Errorf("there is an approval rule template %q already", t.Name)
		} else if !errors.Is(err, fault.NotFound) {
			return err
		}
		n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM source_templates")
		if err == nil && n >= 1000 {
			err = fault.Limit.Errorf("there are at most 1,000 approval rule templates")
		}
		if err != nil {
			return err
		}
		if err := keepTemplate(tx, t); err != nil {
			return err
		}
		return s.tellTemplate(tx, t, "approvalRuleTemplateCreated")
	})
}

func (s *Source) tellTemplate(tx *db.Tx, t Template, what string) error {
	return s.publish(tx, TemplateChanged, "*", map[string]any{"event": what, "approvalRuleTemplateId": t.ID, "approvalRuleTemplateName": t.Name, "approvalRuleTemplateContentSha256": t.SHA256, "callerUserArn": t.By})
}

// ChangeTemplate changes a template; the pull requests that are open keep their rules.
func (s *Source) ChangeTemplate(ctx context.Context, name, by string, change func(*Template) error) (t Template, err error) {
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		was, err := findTemplate(tx, name)
		if err != nil {
			return err
		}
		t = was
		if err := change(&t); err != nil {
			return err
		}
		if _, err := parseApprovers(t.Content, true); err != nil {
			return err
		}
		t.ID, t.Created, t.Modified, t.By, t.SHA256 = was.ID, was.Created, s.config.Now().UTC(), by, hash(t.Content)
		if t.Name != was.Name {
			if t.Name == "" || len(t.Name) > 100 {
				return fault.Invalid.Errorf("the name of a template has 1 to 100 characters")
			}
			if _, err := findTemplate(tx, t.Name); !errors.Is(err, fault.NotFound) {
				return fault.Exists.Errorf("there is an approval rule template %q already", t.Name)
			}
			if _, err := tx.Exec("UPDATE source_template_uses SET template = ? WHERE template = ?", t.Name, was.Name); err != nil {
				return err
			}
			if _, err := tx.Exec("DELETE FROM source_templates WHERE name = ?", was.Name); err != nil {
				return err
			}
		}
		if err := keepTemplate(tx, t); err != nil {
			return err
		}
		return s.tellTemplate(tx, t, "approvalRuleTemplateUpdated")
	})
	return t, err
}

// DeleteTemplate forgets a template that no repository uses any more.
func (s *Source) DeleteTemplate(ctx context.Context, name, by string) (t Template, err error) {
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		if t, err = findTemplate(tx, name); err != nil {
			return err
		}
		n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM source_template_uses WHERE template = ?", name)
		if err != nil {
			return err
		}
		if n > 0 {
			return fault.Conflict.Errorf("%d repositories use the approval rule template %q", n, name)
		}
		if _, err := tx.Exec("DELETE FROM source_templates WHERE name = ?", name); err != nil {
			return err
		}
		t.By = by
		return s.tellTemplate(tx, t, "approvalRuleTemplateDeleted")
	})
	return t, err
}

// Template is the one of that name.
func (s *Source) Template(ctx context.Context, name string) (t Template, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error { t, err = findTemplate(tx, name); return err })
	return t, err
}

// Templates are all templates, or those that a repository uses, by name.
func (s *Source) Templates(ctx context.Context, repository string) (all []Template, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if repository == "" {
			all, err = db.All(tx, scanTemplate, "SELECT body FROM source_templates ORDER BY name")
			return err
		}
		if _, err := find(tx, repository); err != nil {
			return err
		}
		all, err = db.All(tx, scanTemplate, "SELECT t.body FROM source_templates t JOIN source_template_uses u ON u.template = t.name WHERE u.repository = ? ORDER BY t.name", repository)
		return err
	})
	return all, err
}

// TemplateUses are the repositories that use a template, by name.
func (s *Source) TemplateUses(ctx context.Context, name string) (all []string, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if _, err := findTemplate(tx, name); err != nil {
			return err
		}
		all, err = db.All(tx, db.Value[string], "SELECT repository FROM source_template_uses WHERE template = ? ORDER BY repository", name)
		return err
	})
	return all, err
}

// UseTemplate makes the pull requests that are opened in a repository from now on have the rule of a
// template, or, with use false, not any more.
func (s *Source) UseTemplate(ctx context.Context, name, repository string, use bool) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := findTemplate(tx, name); err != nil {
			return err
		}
		if _, err := find(tx, repository); err != nil {
			return err
		}
		if !use {
			_, err := tx.Exec("DELETE FROM source_template_uses WHERE template = ? AND repository = ?", name, repository)
			return err
		}
		n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM source_template_uses WHERE repository = ?", repository)
		if err != nil {
			return err
		}
		if n >= 25 {
			return fault.Limit.Errorf("a repository uses at most 25 approval rule templates")
		}
		_, err = tx.Exec("INSERT INTO source_template_uses (template, repository) VALUES (?, ?) ON CONFLICT (repository, template) DO NOTHING", name, repository)
		return err
	})
}
