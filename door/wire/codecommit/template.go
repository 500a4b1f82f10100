package codecommit

import (
	"context"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

func (s *service) templates() map[string]wire.Operation {
	return map[string]wire.Operation{
		"CreateApprovalRuleTemplate":            wire.Op(wire.AskAll, s.createTemplate),
		"GetApprovalRuleTemplate":               wire.Op(wire.AskAll, s.getTemplate),
		"ListApprovalRuleTemplates":             wire.Op(wire.AskAll, s.listTemplates),
		"DeleteApprovalRuleTemplate":            wire.Op(wire.AskAll, s.deleteTemplate),
		"UpdateApprovalRuleTemplateContent":     wire.Op(wire.AskAll, s.templateContent),
		"UpdateApprovalRuleTemplateDescription": wire.Op(wire.AskAll, s.templateDescription),
		"UpdateApprovalRuleTemplateName":        wire.Op(wire.AskAll, s.templateName),

		"AssociateApprovalRuleTemplateWithRepository":           wire.Op(s.askUse, s.use(true)),
		"DisassociateApprovalRuleTemplateFromRepository":        wire.Op(s.askUse, s.use(false)),
		"BatchAssociateApprovalRuleTemplateWithRepositories":    wire.Op(s.askUses, s.useMany),
		"BatchDisassociateApprovalRuleTemplateFromRepositories": wire.Op(s.askUses, s.leaveMany),
		"ListAssociatedApprovalRuleTemplatesForRepository":      op(s, s.used),
		"ListRepositoriesForApprovalRuleTemplate":               wire.Op(wire.AskAll, s.users),
	}
}

type template struct {
	ID          string    `json:"approvalRuleTemplateId"`
	Name        string    `json:"approvalRuleTemplateName"`
	Description string    `json:"approvalRuleTemplateDescription,omitzero"`
	Content     string    `json:"approvalRuleTemplateContent"`
	SHA256      string    `json:"ruleContentSha256"`
	Modified    time.Time `json:"lastModifiedDate"`
	Created     time.Time `json:"creationDate"`
	By          string    `json:"lastModifiedUser,omitzero"`
}

type templateOutput struct {
	Template template `json:"approvalRuleTemplate"`
}

func (s *service) templated(c *wire.Call, t source.Template, err error) (*templateOutput, error) {
	if err != nil {
		return nil, s.when(c, err, fault.Limit, "NumberOfRuleTemplatesExceededException", "InvalidApprovalRuleTemplateContentException")
	}
	return &templateOutput{template{t.ID, t.Name, t.Description, t.Content, t.SHA256, t.Modified, t.Created, t.By}}, nil
}

type templateInput struct {
	Name        string `json:"approvalRuleTemplateName"`
	Content     string `json:"approvalRuleTemplateContent"`
	Description string `json:"approvalRuleTemplateDescription"`
	NewContent  string `json:"newRuleContent"`
	Was         string `json:"existingRuleContentSha256"`
	OldName     string `json:"oldApprovalRuleTemplateName"`
	NewName     string `json:"newApprovalRuleTemplateName"`
	Token       string `json:"nextToken"`
	Max         int    `json:"maxResults"`
}

func (s *service) createTemplate(ctx context.Context, c *wire.Call, in *templateInput) (*templateOutput, error) {
	t, err := s.Source.CreateTemplate(ctx, source.Template{Name: in.Name, Description: in.Description, Content: in.Content, By: c.Principal.ARN})
	return s.templated(c, t, err)
}

func (s *service) getTemplate(ctx context.Context, c *wire.Call, in *templateInput) (*templateOutput, error) {
	t, err := s.Source.Template(ctx, in.Name)
	return s.templated(c, t, err)
}

type templateNames struct {
	Names []string `json:"approvalRuleTemplateNames"`
	Token string   `json:"nextToken,omitzero"`
}

func namesOf(all []source.Template, token string, size int) (*templateNames, error) {
	part, next, err := page(all, token, size, 100)
	out := &templateNames{Names: []string{}, Token: next}
	for _, t := range part {
		out.Names = append(out.Names, t.Name)
	}
	return out, err
}

func (s *service) listTemplates(ctx context.Context, _ *wire.Call, in *templateInput) (*templateNames, error) {
	all, err := s.Source.Templates(ctx, "")
	if err != nil {
		return nil, err
	}
	return namesOf(all, in.Token, in.Max)
}

type droppedTemplate struct {
	ID string `json:"approvalRuleTemplateId"`
}

func (s *service) deleteTemplate(ctx context.Context, c *wire.Call, in *templateInput) (*droppedTemplate, error) {
	t, err := s.Source.DeleteTemplate(ctx, in.Name, c.Principal.ARN)
	return &droppedTemplate{t.ID}, s.when(c, err, fault.Conflict, "ApprovalRuleTemplateInUseException")
}

func (s *service) templateContent(ctx context.Context, c *wire.Call, in *templateInput) (*templateOutput, error) {
	t, err := s.Source.ChangeTemplate(ctx, in.Name, c.Principal.ARN, func(t *source.Template) error {
		if in.Was != "" && in.Was != t.SHA256 {
			return fault.Conflict.Errorf("%q: %w", t.Name, source.ErrHash)
		}
		t.Content = in.NewContent
		return nil
	})
	return s.templated(c, t, s.say(c, err))
}

func (s *service) templateDescription(ctx context.Context, c *wire.Call, in *templateInput) (*templateOutput, error) {
	t, err := s.Source.ChangeTemplate(ctx, in.Name, c.Principal.ARN, func(t *source.Template) error { t.Description = in.Description; return nil })
	return s.templated(c, t, err)
}

func (s *service) templateName(ctx context.Context, c *wire.Call, in *templateInput) (*templateOutput, error) {
	t, err := s.Source.ChangeTemplate(ctx, in.OldName, c.Principal.ARN, func(t *source.Template) error { t.Name = in.NewName; return nil })
	return s.templated(c, t, err)
}

type useInput struct {
	named
	Template string `json:"approvalRuleTemplateName"`
	Token    string `json:"nextToken"`
	Max      int    `json:"maxResults"`
}

func (s *service) askUse(c *wire.Call, in *useInput) []iam.Request {
	return c.Ask(s.Source.ARN(in.Repository))
}

func (s *service) use(use bool) func(context.Context, *wire.Call, *useInput) (*struct{}, error) {
	return func(ctx context.Context, c *wire.Call, in *useInput) (*struct{}, error) {
		if _, err := s.Source.Repository(ctx, in.Repository); err != nil {
			return nil, err
		}
		err := s.Source.UseTemplate(ctx, in.Template, in.Repository, use)
		return nil, s.when(c, s.when(c, err, fault.NotFound, "ApprovalRuleTemplateDoesNotExistException"), fault.Limit, "MaximumRuleTemplatesAssociatedWithRepositoryException")
	}
}

type usesInput struct {
	Template string   `json:"approvalRuleTemplateName"`
	Names    []string `json:"repositoryNames"`
}

func (s *service) askUses(c *wire.Call, in *usesInput) []iam.Request {
	return s.askAll(c, in.Names)
}

type useError struct {
	Name    string `json:"repositoryName"`
	Code    string `json:"errorCode"`
	Message string `json:"errorMessage"`
}

type useManyOutput struct {
	Names  []string   `json:"associatedRepositoryNames"`
	Errors []useError `json:"errors"`
}

func (s *service) each(ctx context.Context, in *usesInput, use bool) (done []string, wrong []useError, err error) {
	if _, err := s.Source.Template(ctx, in.Template); err != nil {
		return nil, nil, err
	}
	if len(in.Names) > 100 {
		return nil, nil, wire.Errorf("MaximumRepositoryNamesExceededException", "at most 100 repositories at once")
	}
	done, wrong = []string{}, []useError{}
	for _, name := range in.Names {
		err := s.Source.UseTemplate(ctx, in.Template, name, use)
		switch {
		case err == nil:
			done = append(done, name)
		case fault.Of(err) == fault.NotFound:
			wrong = append(wrong, useError{name, "RepositoryDoesNotExistException", err.Error()})
		case fault.Of(err) == fault.Limit:
			wrong = append(wrong, useError{name, "MaximumRuleTemplatesAssociatedWithRepositoryException", err.Error()})
		default:
			return nil, nil, err
		}
	}
	return done, wrong, nil
}

func (s *service) useMany(ctx context.Context, _ *wire.Call, in *usesInput) (*useManyOutput, error) {
	done, wrong, err := s.each(ctx, in, true)
	return &useManyOutput{done, wrong}, err
}

type leaveManyOutput struct {
	Names  []string   `json:"disassociatedRepositoryNames"`
	Errors []useError `json:"errors"`
}

func (s *service) leaveMany(ctx context.Context, _ *wire.Call, in *usesInput) (*leaveManyOutput, error) {
	done, wrong, err := s.each(ctx, in, false)
	return &leaveManyOutput{done, wrong}, err
}

func (s *service) used(ctx context.Context, _ *wire.Call, in *useInput) (*templateNames, error) {
	all, err := s.Source.Templates(ctx, in.Repository)
	if err != nil {
		return nil, err
	}
	return namesOf(all, in.Token, in.Max)
}

type usersOutput struct {
	Names []string `json:"repositoryNames"`
	Token string   `json:"nextToken,omitzero"`
}

func (s *service) users(ctx context.Context, _ *wire.Call, in *useInput) (*usersOutput, error) {
	all, err := s.Source.TemplateUses(ctx, in.Template)
	if err != nil {
		return nil, err
	}
	part, next, err := page(all, in.Token, in.Max, 100)
	return &usersOutput{append([]string{}, part...), next}, err
}
