package codecommit

import (
	"context"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/word/fault"
)

func (s *service) approving() map[string]wire.Operation {
	return map[string]wire.Operation{
		"UpdatePullRequestApprovalState":       pullOp(s, s.approve),
		"GetPullRequestApprovalStates":         pullOp(s, s.approvals),
		"EvaluatePullRequestApprovalRules":     pullOp(s, s.evaluate),
		"OverridePullRequestApprovalRules":     pullOp(s, s.override),
		"GetPullRequestOverrideState":          pullOp(s, s.overrideState),
		"CreatePullRequestApprovalRule":        pullOp(s, s.createRule),
		"UpdatePullRequestApprovalRuleContent": pullOp(s, s.updateRule),
		"DeletePullRequestApprovalRule":        pullOp(s, s.deleteRule),
	}
}

type origin struct {
	ID   string `json:"approvalRuleTemplateId"`
	Name string `json:"approvalRuleTemplateName"`
}

type approvalRule struct {
	ID       string    `json:"approvalRuleId"`
	Name     string    `json:"approvalRuleName"`
	Content  string    `json:"approvalRuleContent"`
	SHA256   string    `json:"ruleContentSha256"`
	Modified time.Time `json:"lastModifiedDate"`
	Created  time.Time `json:"creationDate"`
	By       string    `json:"lastModifiedUser,omitzero"`
	Origin   *origin   `json:"originApprovalRuleTemplate,omitzero"`
}

func ruleOf(r source.ApprovalRule) approvalRule {
	out := approvalRule{ID: r.ID, Name: r.Name, Content: r.Content, SHA256: r.SHA256, Modified: r.Modified, Created: r.Created, By: r.By}
	if r.Template.ID != "" {
		out.Origin = &origin{r.Template.ID, r.Template.Name}
	}
	return out
}

type revisionInput struct {
	meant
	Revision string `json:"revisionId"`
}

// revised is a pull request whose revision is the one that is meant.
func (s *service) revised(ctx context.Context, c *wire.Call, in revisionInput) (source.Pull, error) {
	p, err := s.Source.Pull(ctx, in.number())
	if err != nil || p.Revision.ID == in.Revision {
		return p, err
	}
	if err := s.known(ctx, c, in.number(), in.Revision); err != nil {
		return p, err
	}
	return p, s.code(c, source.ErrNotCurrent, "RevisionNotCurrentException", "InvalidRevisionIdException")
}

// known says why a pull request never had a revision.
func (s *service) known(ctx context.Context, c *wire.Call, number int64, revision string) error {
	all, err := s.Source.Revisions(ctx, number)
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.ID == revision {
			return nil
		}
	}
	if len(all) == 0 {
		return fault.NotFound.Errorf("there is no pull request %d", number)
	}
	return s.code(c, fault.Invalid.Errorf("pull request %d has no revision %q", number, revision), "InvalidRevisionIdException")
}

type approveInput struct {
	revisionInput
	State string `json:"approvalState"`
}

func (s *service) approve(ctx context.Context, c *wire.Call, in *approveInput) (*struct{}, error) {
	if _, err := s.revised(ctx, c, in.revisionInput); err != nil {
		return nil, err
	}
	return nil, s.say(c, s.Source.Approve(ctx, in.number(), in.Revision, s.Person(ctx, c.Principal), in.State == "APPROVE"))
}

type approvalState struct {
	User  string `json:"userArn"`
	State string `json:"approvalState"`
}

type approvalsOutput struct {
	Approvals []approvalState `json:"approvals"`
}

func (s *service) approvals(ctx context.Context, c *wire.Call, in *revisionInput) (*approvalsOutput, error) {
	if err := s.known(ctx, c, in.number(), in.Revision); err != nil { // of what was one may still ask
		return nil, err
	}
	all, err := s.Source.Approvals(ctx, in.number(), in.Revision)
	out := &approvalsOutput{Approvals: []approvalState{}}
	for _, a := range all {
		if a.Approved { // what was taken back is not told
			out.Approvals = append(out.Approvals, approvalState{a.Who.ARN, "APPROVE"})
		}
	}
	return out, err
}

type evaluation struct {
	Approved    bool     `json:"approved"`
	Overridden  bool     `json:"overridden"`
	Satisfied   []string `json:"approvalRulesSatisfied"`
	Unsatisfied []string `json:"approvalRulesNotSatisfied"`
}

type evaluateOutput struct {
	Evaluation evaluation `json:"evaluation"`
}

// evaluate names the approval rules, and what the repository's own rules ask for.
func (s *service) evaluate(ctx context.Context, c *wire.Call, in *revisionInput) (*evaluateOutput, error) {
	if _, err := s.revised(ctx, c, *in); err != nil {
		return nil, err
	}
	v, err := s.Source.Judge(ctx, in.number())
	if err != nil {
		return nil, err
	}
	out := evaluation{Approved: v.Approved, Overridden: v.Overridden, Satisfied: []string{}, Unsatisfied: []string{}}
	for _, d := range v.Demands {
		switch {
		case d.Kind == "merges":
		case d.Met:
			out.Satisfied = append(out.Satisfied, d.Name)
		default:
			out.Unsatisfied = append(out.Unsatisfied, d.Name)
		}
	}
	return &evaluateOutput{out}, nil
}

type overrideInput struct {
	revisionInput
	Status string `json:"overrideStatus"`
}

// Override by this call has no room for a reason: it says so, and is short.
const (
	overrideWhy  = "no reason was given: it came by CodeCommit's API, which has no room for one"
	overrideTime = 24 * time.Hour
)

func (s *service) override(ctx context.Context, c *wire.Call, in *overrideInput) (*struct{}, error) {
	p, err := s.revised(ctx, c, in.revisionInput)
	if err != nil {
		return nil, err
	}
	until, set := c.Time, p.Override != nil && p.Override.Revision == p.Revision.ID && c.Time.Before(p.Override.Until)
	if in.Status == "OVERRIDE" {
		if set {
			return nil, s.code(c, fault.Exists.Errorf("pull request %d is overridden already, by %s", p.Number, p.Override.By), "OverrideAlreadySetException")
		}
		until = c.Time.Add(overrideTime)
	}
	return nil, s.say(c, s.Source.LiftRules(ctx, in.number(), in.Revision, s.Person(ctx, c.Principal), overrideWhy, until))
}

type overrideOutput struct {
	Overridden bool   `json:"overridden"`
	By         string `json:"overrider,omitzero"`
}

func (s *service) overrideState(ctx context.Context, c *wire.Call, in *revisionInput) (*overrideOutput, error) {
	p, err := s.revised(ctx, c, *in)
	if err != nil {
		return nil, err
	}
	if p.Override == nil || p.Override.Revision != p.Revision.ID || !c.Time.Before(p.Override.Until) {
		return &overrideOutput{}, nil
	}
	return &overrideOutput{true, p.Override.By}, nil
}

type ruleInput struct {
	meant
	Name    string `json:"approvalRuleName"`
	Content string `json:"approvalRuleContent"`
	Was     string `json:"existingRuleContentSha256"`
	New     string `json:"newRuleContent"`
}

type ruleOutput struct {
	Rule approvalRule `json:"approvalRule"`
}

func (s *service) createRule(ctx context.Context, c *wire.Call, in *ruleInput) (*ruleOutput, error) {
	r, err := s.Source.AddRule(ctx, in.number(), c.Principal.ARN, in.Name, in.Content)
	return s.ruled(c, r, err)
}

func (s *service) updateRule(ctx context.Context, c *wire.Call, in *ruleInput) (*ruleOutput, error) {
	p, err := s.Source.Pull(ctx, in.number())
	if err != nil {
		return nil, err
	}
	if !hasRule(p, in.Name) {
		return nil, s.code(c, fault.NotFound.Errorf("pull request %d has no approval rule %q", p.Number, in.Name), "ApprovalRuleDoesNotExistException")
	}
	r, err := s.Source.ChangeRule(ctx, in.number(), c.Principal.ARN, in.Name, in.Was, in.New)
	return s.ruled(c, r, err)
}

func hasRule(p source.Pull, name string) bool {
	for _, r := range p.Rules {
		if r.Name == name {
			return true
		}
	}
	return false
}

func (s *service) ruled(c *wire.Call, r source.ApprovalRule, err error) (*ruleOutput, error) {
	if err != nil {
		return nil, s.when(c, s.when(c, err, fault.Exists, "ApprovalRuleNameAlreadyExistsException"), fault.Limit, "NumberOfRulesExceededException", "InvalidApprovalRuleContentException")
	}
	return &ruleOutput{ruleOf(r)}, nil
}

type droppedRule struct {
	ID string `json:"approvalRuleId"`
}

func (s *service) deleteRule(ctx context.Context, c *wire.Call, in *ruleInput) (*droppedRule, error) {
	r, err := s.Source.DropRule(ctx, in.number(), c.Principal.ARN, in.Name)
	return &droppedRule{r.ID}, s.say(c, err)
}
