package securityhub

import (
	"context"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

type describeHubInput struct{ HubArn string }

type describeHubOutput struct {
	HubArn, SubscribedAt    string
	AutoEnableControls      bool
	ControlFindingGenerator string
}

func (s *service) describeHub(ctx context.Context, c *wire.Call, in *describeHubInput) (*describeHubOutput, error) {
	if in.HubArn != "" && s.home(c, in.HubArn) != s.hub.ARN() {
		return nil, fault.NotFound.Errorf("there is no hub %q", in.HubArn)
	}
	now, err := s.hub.Settings(ctx)
	if err != nil {
		return nil, off(err)
	}
	return &describeHubOutput{s.here(c, s.hub.ARN()), finding.Stamp(now.Since), now.AutoEnableControls, now.Generator}, nil
}

type enableHubInput struct {
	Tags                    map[string]string
	EnableDefaultStandards  *bool
	ControlFindingGenerator string
}

func (s *service) enableHub(ctx context.Context, _ *wire.Call, in *enableHubInput) (*none, error) {
	standards := in.EnableDefaultStandards == nil || *in.EnableDefaultStandards
	return nil, s.hub.Enable(ctx, in.ControlFindingGenerator, standards, in.Tags)
}

type configureHubInput struct {
	AutoEnableControls      *bool
	ControlFindingGenerator string
}

func (s *service) configureHub(ctx context.Context, _ *wire.Call, in *configureHubInput) (*none, error) {
	return nil, s.hub.Configure(ctx, in.AutoEnableControls, in.ControlFindingGenerator)
}

func (s *service) disableHub(ctx context.Context, _ *wire.Call, _ *none) (*none, error) {
	return nil, off(s.hub.Disable(ctx))
}

type describeProductsInput struct {
	ProductArn string
	paging
}

type describeProductsOutput struct {
	Products  []product
	NextToken string `json:"NextToken,omitzero"`
}

type product struct {
	ProductArn       string
	ProductName      string
	CompanyName      string
	Description      string   `json:"Description,omitzero"`
	Categories       []string `json:"Categories,omitzero"`
	IntegrationTypes []string
	ActivationURL    string `json:"ActivationUrl,omitzero"`
}

func (s *service) describeProducts(ctx context.Context, c *wire.Call, in *describeProductsInput) (*describeProductsOutput, error) {
	all, err := s.hub.Products(ctx)
	if err != nil {
		return nil, err
	}
	var list []product
	for _, p := range all {
		arn := s.here(c, s.hub.ProductARN(p))
		if in.ProductArn == "" || in.ProductArn == arn {
			list = append(list, product{arn, p.ProductName, p.CompanyName, p.Description, p.Categories, []string{hub.SendFindings}, p.URL})
		}
	}
	if in.ProductArn != "" && len(list) == 0 {
		return nil, fault.Invalid.Errorf("there is no product %q", in.ProductArn)
	}
	out := &describeProductsOutput{}
	out.Products, out.NextToken, err = page(list, in.paging)
	return out, err
}

type enabledProductsOutput struct {
	ProductSubscriptions []string
	NextToken            string `json:"NextToken,omitzero"`
}

func (s *service) enabledProducts(ctx context.Context, c *wire.Call, in *paging) (*enabledProductsOutput, error) {
	list, err := s.hub.Subscriptions(ctx)
	if err != nil {
		return nil, err
	}
	for i, arn := range list {
		list[i] = s.here(c, arn)
	}
	out := &enabledProductsOutput{}
	out.ProductSubscriptions, out.NextToken, err = page(list, *in)
	return out, err
}

type productInput struct{ ProductArn string }

type subscriptionInput struct{ ProductSubscriptionArn string }

func (s *service) enableProduct(ctx context.Context, c *wire.Call, in *productInput) (*subscriptionInput, error) {
	arn, err := s.hub.EnableProduct(ctx, in.ProductArn)
	return &subscriptionInput{s.here(c, arn)}, err
}

func (s *service) disableProduct(ctx context.Context, _ *wire.Call, in *subscriptionInput) (*none, error) {
	return nil, s.hub.DisableProduct(ctx, in.ProductSubscriptionArn)
}

type resourceInput struct{ ResourceArn string }

type tagInput struct {
	ResourceArn string
	Tags        map[string]string
}

type untagInput struct {
	ResourceArn string
	TagKeys     []string `json:"tagKeys"`
}

type tagsOutput struct{ Tags map[string]string }

func (s *service) listTags(ctx context.Context, c *wire.Call, in *resourceInput) (*tagsOutput, error) {
	tags, err := s.hub.Tags(ctx, s.home(c, in.ResourceArn))
	return &tagsOutput{tags}, err
}

func (s *service) tag(ctx context.Context, c *wire.Call, in *tagInput) (*none, error) {
	return nil, s.hub.Tag(ctx, s.home(c, in.ResourceArn), in.Tags)
}

func (s *service) untag(ctx context.Context, c *wire.Call, in *untagInput) (*none, error) {
	return nil, s.hub.Untag(ctx, s.home(c, in.ResourceArn), in.TagKeys...)
}
