package securityhub

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/word/fault"
)

type standard struct {
	StandardsArn, Name, Description string
	EnabledByDefault                bool
	StandardsManagedBy              struct{ Company, Product string }
}

type describeStandardsOutput struct {
	Standards []standard
	NextToken string `json:"NextToken,omitzero"`
}

func (s *service) describeStandards(_ context.Context, _ *wire.Call, in *paging) (out *describeStandardsOutput, err error) {
	var list []standard
	for _, k := range s.hub.Standards() {
		one := standard{StandardsArn: k.ARN, Name: k.Name, Description: k.Description, EnabledByDefault: k.EnabledByDefault}
		one.StandardsManagedBy.Company, one.StandardsManagedBy.Product = k.Company, k.Product
		list = append(list, one)
	}
	out = &describeStandardsOutput{}
	out.Standards, out.NextToken, err = page(list, *in)
	return out, err
}

type subscription struct {
	StandardsSubscriptionArn, StandardsArn string
	StandardsInput                         map[string]string
	StandardsStatus                        string
	StandardsControlsUpdatable             string `json:"StandardsControlsUpdatable,omitzero"`
}

func subscriptionOf(s hub.Subscription, status string) subscription {
	one := subscription{s.ARN, s.Standard.ARN, map[string]string{}, status, ""}
	if status == "READY" {
		one.StandardsControlsUpdatable = "READY_FOR_UPDATES"
	}
	return one
}

type subscriptionsInput struct {
	StandardsSubscriptionArns []string
	paging
}

type subscriptionsOutput struct {
	StandardsSubscriptions []subscription
	NextToken              string `json:"NextToken,omitzero"`
}

func (s *service) enabledStandards(ctx context.Context, _ *wire.Call, in *subscriptionsInput) (*subscriptionsOutput, error) {
	all, err := s.hub.EnabledStandards(ctx)
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, arn := range in.StandardsSubscriptionArns {
		wanted[arn] = true
	}
	var list []subscription
	for _, k := range all {
		if len(wanted) == 0 || wanted[k.ARN] {
			list = append(list, subscriptionOf(k, "READY"))
		}
	}
	out := &subscriptionsOutput{}
	out.StandardsSubscriptions, out.NextToken, err = page(list, in.paging)
	return out, err
}

type enableStandardsInput struct {
	StandardsSubscriptionRequests []struct {
		StandardsArn   string
		StandardsInput map[string]string
	}
}

func (s *service) enableStandards(ctx context.Context, _ *wire.Call, in *enableStandardsInput) (*subscriptionsOutput, error) {
	out := &subscriptionsOutput{StandardsSubscriptions: []subscription{}}
	for _, r := range in.StandardsSubscriptionRequests {
		made, err := s.hub.EnableStandard(ctx, r.StandardsArn)
		if err != nil {
			return nil, err
		}
		out.StandardsSubscriptions = append(out.StandardsSubscriptions, subscriptionOf(made, "READY"))
	}
	return out, nil
}

func (s *service) disableStandards(ctx context.Context, _ *wire.Call, in *subscriptionsInput) (*subscriptionsOutput, error) {
	out := &subscriptionsOutput{StandardsSubscriptions: []subscription{}}
	for _, arn := range in.StandardsSubscriptionArns {
		gone, err := s.hub.DisableStandard(ctx, arn)
		if err != nil {
			return nil, err
		}
		out.StandardsSubscriptions = append(out.StandardsSubscriptions, subscriptionOf(gone, "DELETING"))
	}
	return out, nil
}

type standardsControlsInput struct {
	StandardsSubscriptionArn string
	paging
}

type standardsControl struct {
	StandardsControlArn    string
	ControlStatus          string
	DisabledReason         string    `json:"DisabledReason,omitzero"`
	ControlStatusUpdatedAt time.Time `json:"ControlStatusUpdatedAt,omitzero"`
	ControlID              string    `json:"ControlId"`
	Title, Description     string
	RemediationURL         string `json:"RemediationUrl,omitzero"`
	SeverityRating         string
	RelatedRequirements    []string `json:"RelatedRequirements,omitzero"`
}

type standardsControlsOutput struct {
	Controls  []standardsControl
	NextToken string `json:"NextToken,omitzero"`
}

func status(on bool) string {
	if on {
		return "ENABLED"
	}
	return "DISABLED"
}

func (s *service) standardsControls(ctx context.Context, _ *wire.Call, in *standardsControlsInput) (*standardsControlsOutput, error) {
	controls, err := s.hub.Controls(ctx, in.StandardsSubscriptionArn)
	if err != nil {
		return nil, err
	}
	var list []standardsControl
	for _, c := range controls {
		list = append(list, standardsControl{s.hub.StandardControlARN(c.StandardARN, c.ID), status(c.Enabled), c.Reason, c.UpdatedAt, c.ID, c.Title, c.Description, c.RemediationURL, string(c.Severity), c.Requirements})
	}
	out := &standardsControlsOutput{}
	out.Controls, out.NextToken, err = page(list, in.paging)
	return out, err
}

type updateStandardsControlInput struct{ StandardsControlArn, ControlStatus, DisabledReason string }

func (s *service) updateStandardsControl(ctx context.Context, _ *wire.Call, in *updateStandardsControlInput) (*none, error) {
	controls, err := s.hub.Controls(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, c := range controls {
		if s.hub.StandardControlARN(c.StandardARN, c.ID) == in.StandardsControlArn {
			return nil, s.hub.SwitchControl(ctx, c.StandardARN, c.ID, in.ControlStatus != "DISABLED", in.DisabledReason)
		}
	}
	return nil, fault.NotFound.Errorf("there is no control %q", in.StandardsControlArn)
}

type association struct {
	StandardsArn                string
	SecurityControlID           string `json:"SecurityControlId"`
	SecurityControlArn          string
	AssociationStatus           string
	RelatedRequirements         []string  `json:"RelatedRequirements,omitzero"`
	UpdatedAt                   time.Time `json:"UpdatedAt,omitzero"`
	UpdatedReason               string    `json:"UpdatedReason,omitzero"`
	StandardsControlTitle       string
	StandardsControlDescription string
	StandardsControlArns        []string `json:"StandardsControlArns,omitzero"`
}

func (s *service) associationOf(c hub.ControlStatus) association {
	return association{c.StandardARN, c.ID, s.hub.ControlARN(c.ID), status(c.Enabled), c.Requirements, c.UpdatedAt, c.Reason, c.Title, c.Description, nil}
}

type associationsInput struct {
	SecurityControlID string `json:"SecurityControlId"`
	paging
}

type associationsOutput struct {
	StandardsControlAssociationSummaries []association
	NextToken                            string `json:"NextToken,omitzero"`
}

// named are the controls with that ID or ARN, one for each standard that holds it.
func (s *service) named(ctx context.Context, id string) (list []hub.ControlStatus, err error) {
	if _, last, ok := strings.Cut(id, ":security-control/"); ok {
		id = last
	}
	all, err := s.hub.Controls(ctx, "")
	for _, c := range all {
		if c.ID == id {
			list = append(list, c)
		}
	}
	return list, err
}

func (s *service) associations(ctx context.Context, _ *wire.Call, in *associationsInput) (*associationsOutput, error) {
	controls, err := s.named(ctx, in.SecurityControlID)
	if err != nil {
		return nil, err
	}
	if len(controls) == 0 {
		return nil, fault.Invalid.Errorf("there is no control %q", in.SecurityControlID)
	}
	var list []association
	for _, c := range controls {
		list = append(list, s.associationOf(c))
	}
	out := &associationsOutput{}
	out.StandardsControlAssociationSummaries, out.NextToken, err = page(list, in.paging)
	return out, err
}

type associationID struct {
	SecurityControlID string `json:"SecurityControlId"`
	StandardsArn      string
}

type getAssociationsInput struct {
	IDs []associationID `json:"StandardsControlAssociationIds"`
}

type unprocessedAssociation struct {
	ID          associationID `json:"StandardsControlAssociationId"`
	ErrorCode   string
	ErrorReason string
}

type getAssociationsOutput struct {
	StandardsControlAssociationDetails []association
	UnprocessedAssociations            []unprocessedAssociation
}

func (s *service) getAssociations(ctx context.Context, _ *wire.Call, in *getAssociationsInput) (*getAssociationsOutput, error) {
	out := &getAssociationsOutput{[]association{}, []unprocessedAssociation{}}
	for _, id := range in.IDs {
		controls, err := s.named(ctx, id.SecurityControlID)
		if err != nil {
			return nil, err
		}
		found := false
		for _, c := range controls {
			if c.StandardARN == id.StandardsArn {
				found = true
				a := s.associationOf(c)
				a.StandardsControlArns = []string{s.hub.StandardControlARN(c.StandardARN, c.ID)}
				out.StandardsControlAssociationDetails = append(out.StandardsControlAssociationDetails, a)
			}
		}
		if !found {
			out.UnprocessedAssociations = append(out.UnprocessedAssociations, unprocessedAssociation{id, notFound, "there is no such control in this standard"})
		}
	}
	return out, nil
}

type associationUpdate struct {
	StandardsArn      string
	SecurityControlID string `json:"SecurityControlId"`
	AssociationStatus string
	UpdatedReason     string `json:"UpdatedReason,omitzero"`
}

type updateAssociationsInput struct {
	StandardsControlAssociationUpdates []associationUpdate
}

type unprocessedUpdate struct {
	Update      associationUpdate `json:"StandardsControlAssociationUpdate"`
	ErrorCode   string
	ErrorReason string
}

type updateAssociationsOutput struct {
	UnprocessedAssociationUpdates []unprocessedUpdate
}

// Why one of a batch was not dealt with.
const (
	notFound     = "RESOURCE_NOT_FOUND"
	invalidInput = "INVALID_INPUT"
)

func (s *service) updateAssociations(ctx context.Context, _ *wire.Call, in *updateAssociationsInput) (*updateAssociationsOutput, error) {
	out := &updateAssociationsOutput{[]unprocessedUpdate{}}
	for _, u := range in.StandardsControlAssociationUpdates {
		err := s.hub.SwitchControl(ctx, u.StandardsArn, u.SecurityControlID, u.AssociationStatus == "ENABLED", u.UpdatedReason)
		switch {
		case err == nil:
		case errors.Is(err, fault.NotFound):
			out.UnprocessedAssociationUpdates = append(out.UnprocessedAssociationUpdates, unprocessedUpdate{u, notFound, err.Error()})
		case errors.Is(err, fault.Invalid):
			out.UnprocessedAssociationUpdates = append(out.UnprocessedAssociationUpdates, unprocessedUpdate{u, invalidInput, err.Error()})
		default:
			return nil, err
		}
	}
	return out, nil
}
