// Package ssm answers Systems Manager's Parameter Store from the vault.
package ssm

import (
	"context"
	_ "embed"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/vault"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

//go:embed model.json
var table []byte

type service struct{ vault *vault.Vault }

// Service answers what is about parameters. Nothing else of Systems Manager is here.
func Service(v *vault.Vault) wire.Service {
	s := &service{v}
	return wire.Service{
		Model: wire.MustModel(table),
		Operations: map[string]wire.Operation{
			"PutParameter":           wire.OpOn(s.askPut, s.put),
			"GetParameter":           wire.OpOn(asks[getInput](s), s.get),
			"GetParameters":          wire.OpOn(asks[namesInput](s), s.getAll),
			"GetParametersByPath":    wire.OpOn(s.askPath, s.byPath),
			"GetParameterHistory":    wire.OpOn(asks[getInput](s), s.history),
			"DescribeParameters":     wire.Op(wire.AskAll, s.describe),
			"DeleteParameter":        wire.OpOn(asks[getInput](s), s.delete),
			"DeleteParameters":       wire.OpOn(asks[namesInput](s), s.deleteAll),
			"AddTagsToResource":      wire.OpOn(asks[tagInput](s), s.tag),
			"RemoveTagsFromResource": wire.OpOn(asks[tagInput](s), s.untag),
			"ListTagsForResource":    wire.OpOn(asks[tagInput](s), s.tags),
		},
		Faults: wire.Faults{
			fault.Internal: {"InternalServerError"},
			fault.Invalid:  {"ValidationException"},
			fault.NotFound: {"ParameterNotFound", "InvalidResourceId", "ValidationException"},
			fault.Exists:   {"ParameterAlreadyExists", "ValidationException"},
			fault.Limit:    {"ParameterLimitExceeded", "TooManyTagsError", "ValidationException"},
		},
	}
}

// names is an input that is about parameters.
type names interface{ names() []string }

// ask asks about parameters by their ARNs, with their tags.
func (s *service) ask(ctx context.Context, c *wire.Call, texts []string, keys map[string][]string) (asked []iam.Request, err error) {
	for _, text := range texts {
		name, _, err := s.vault.ParseParameter(text)
		if err != nil {
			name = text // it is none; the answer says so
		}
		r := c.Ask(s.vault.ParameterARN(name))[0]
		r.Context = map[string][]string{}
		maps.Copy(r.Context, keys)
		tags, err := s.vault.ParameterTags(ctx, name)
		if err != nil && fault.Of(err) != fault.NotFound {
			return nil, err
		}
		for k, v := range tags {
			r.Context["aws:ResourceTag/"+k], r.Context["ssm:resourceTag/"+k] = []string{v}, []string{v}
		}
		asked = append(asked, r)
	}
	return asked, nil
}

// asks asks about the parameters that an input names.
func asks[In any](s *service) func(context.Context, *wire.Call, *In) ([]iam.Request, error) {
	return func(ctx context.Context, c *wire.Call, in *In) ([]iam.Request, error) {
		return s.ask(ctx, c, any(in).(names).names(), nil)
	}
}

type tag struct{ Key, Value string }

func tagMap(tags []tag) map[string]string {
	all := map[string]string{}
	for _, t := range tags {
		all[t.Key] = t.Value
	}
	return all
}

type putInput struct {
	Name           string
	Description    string
	Value          seal.Secret
	Type           string
	KeyID          string `json:"KeyId"`
	Overwrite      bool
	AllowedPattern string
	Tags           []tag
	Tier           string
	Policies       string
	DataType       string
}

func (s *service) askPut(ctx context.Context, c *wire.Call, in *putInput) ([]iam.Request, error) {
	keys := map[string][]string{"ssm:Overwrite": {fmt.Sprint(in.Overwrite)}}
	for _, t := range in.Tags {
		keys["aws:RequestTag/"+t.Key] = []string{t.Value}
		keys["aws:TagKeys"] = append(keys["aws:TagKeys"], t.Key)
	}
	return s.ask(ctx, c, []string{in.Name}, keys)
}

type putOutput struct {
	Version int64
	Tier    string
}

func (s *service) put(ctx context.Context, c *wire.Call, in *putInput) (*putOutput, error) {
	switch {
	case in.Policies != "" && in.Policies != "[]":
		return nil, fault.Invalid.Errorf("policies of parameters (expiration and notices) are not kept here")
	case in.DataType != "" && in.DataType != "text":
		return nil, fault.Invalid.Errorf("values are text here; of what %.60q means nothing is checked", in.DataType)
	case in.Overwrite && len(in.Tags) > 0:
		return nil, fault.Invalid.Errorf("Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.")
	case strings.Contains(in.Name, ":"):
		return nil, fault.Invalid.Errorf("%.200q is not the name of a parameter: say it without an ARN and a version", in.Name)
	}
	p, err := s.vault.PutParameter(ctx, vault.Parameter{Name: in.Name, Type: in.Type, Description: in.Description, Key: in.KeyID, Pattern: in.AllowedPattern, Tier: in.Tier, Who: c.Principal.ARN}, in.Value, tagMap(in.Tags), in.Overwrite)
	if err != nil {
		return nil, err
	}
	return &putOutput{p.Version, p.Tier}, nil
}

type getInput struct {
	Name           string
	WithDecryption bool
	MaxResults     int
	NextToken      string
}

func (in *getInput) names() []string { return []string{in.Name} }

// parameter is a value told.
type parameter struct {
	Name             string
	Type             string
	Value            string
	Version          int64
	Selector         string `json:",omitzero"`
	LastModifiedDate time.Time
	ARN              string
	DataType         string
}

// told is a parameter as it is answered: one that is secure as it is kept, unless it is to be decrypted.
func (s *service) told(p vault.Parameter, decrypt bool) (parameter, error) {
	out := parameter{Name: p.Name, Type: p.Type, Version: p.Version, LastModifiedDate: p.Modified, ARN: s.vault.ParameterARN(p.Name), DataType: "text", Value: p.Sealed()}
	if p.Type != vault.Secure || decrypt {
		value, err := s.vault.Reveal(p)
		if err != nil {
			return out, err
		}
		out.Value = value.Reveal()
	}
	return out, nil
}

type getOutput struct{ Parameter parameter }

func (s *service) get(ctx context.Context, _ *wire.Call, in *getInput) (*getOutput, error) {
	p, err := s.find(ctx, in.Name, in.WithDecryption)
	if err != nil {
		return nil, err
	}
	return &getOutput{p}, nil
}

func (s *service) find(ctx context.Context, text string, decrypt bool) (parameter, error) {
	p, _, err := s.vault.Parameter(ctx, text)
	if err != nil {
		return parameter{}, err
	}
	out, err := s.told(p, decrypt)
	if _, version, _ := s.vault.ParseParameter(text); version > 0 {
		out.Selector = fmt.Sprint(":", version)
	}
	return out, err
}

type namesInput struct {
	Names          []string
	WithDecryption bool
}

func (in *namesInput) names() []string { return in.Names }

type getAllOutput struct {
	Parameters        []parameter
	InvalidParameters []string
}

func (s *service) getAll(ctx context.Context, _ *wire.Call, in *namesInput) (*getAllOutput, error) {
	out := &getAllOutput{Parameters: []parameter{}, InvalidParameters: []string{}}
	for _, text := range in.Names {
		p, err := s.find(ctx, text, in.WithDecryption)
		switch fault.Of(err) {
		case fault.NotFound:
			out.InvalidParameters = append(out.InvalidParameters, text)
			continue
		}
		if err != nil {
			return nil, err
		}
		out.Parameters = append(out.Parameters, p)
	}
	return out, nil
}

type pathInput struct {
	Path             string
	Recursive        bool
	WithDecryption   bool
	MaxResults       int
	NextToken        string
	ParameterFilters []filter
}

// askPath asks for the path itself, as AWS does: who may read a path may read what lies below it.
func (s *service) askPath(_ context.Context, c *wire.Call, in *pathInput) ([]iam.Request, error) {
	asked := c.Ask(strings.TrimSuffix(s.vault.ParameterARN(in.Path), "/"))
	asked[0].Context = map[string][]string{"ssm:Recursive": {fmt.Sprint(in.Recursive)}}
	return asked, nil
}

type pathOutput struct {
	Parameters []parameter
	NextToken  string `json:",omitzero"`
}

func (s *service) byPath(ctx context.Context, _ *wire.Call, in *pathInput) (*pathOutput, error) {
	if !strings.HasPrefix(in.Path, "/") {
		return nil, fault.Invalid.Errorf("The parameter doesn't meet the parameter name requirements: a path begins with a slash")
	}
	option := "OneLevel"
	if in.Recursive {
		option = "Recursive"
	}
	all, next, err := s.list(ctx, append(slices.Clone(in.ParameterFilters), filter{Key: "Path", Option: option, Values: []string{in.Path}}), in.NextToken, in.MaxResults, 10)
	if err != nil {
		return nil, err
	}
	out := &pathOutput{Parameters: []parameter{}, NextToken: next}
	for _, p := range all {
		one, err := s.told(p, in.WithDecryption)
		if err != nil {
			return nil, err
		}
		out.Parameters = append(out.Parameters, one)
	}
	return out, nil
}

// list is a page of the parameters that meet filters, by name.
func (s *service) list(ctx context.Context, filters []filter, token string, size, most int) (page []vault.Parameter, next string, err error) {
	last, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return nil, "", wire.Errorf("InvalidNextToken", "NextToken is not of this list")
	}
	if size <= 0 || size > most {
		size = most
	}
	all, err := s.vault.Parameters(ctx, "")
	if err != nil {
		return nil, "", err
	}
	for _, p := range all {
		if p.Name <= string(last) && token != "" {
			continue
		}
		ok, err := s.meets(ctx, p, filters)
		if err != nil {
			return nil, "", err
		}
		if !ok {
			continue
		}
		if len(page) == size {
			return page, base64.RawURLEncoding.EncodeToString([]byte(page[size-1].Name)), nil
		}
		page = append(page, p)
	}
	return page, "", nil
}

// described is what is known of a parameter besides its value.
type described struct {
	Name             string
	ARN              string `json:",omitzero"`
	Type             string
	KeyID            string `json:"KeyId,omitzero"`
	LastModifiedDate time.Time
	LastModifiedUser string
	Description      string `json:",omitzero"`
	AllowedPattern   string `json:",omitzero"`
	Value            string `json:",omitzero"` // of a history
	Version          int64
	Labels           []string `json:",omitzero"`
	Tier             string
	Policies         []struct{}
	DataType         string
}

func (s *service) described(p vault.Parameter) described {
	return described{Name: p.Name, ARN: s.vault.ParameterARN(p.Name), Type: p.Type, KeyID: p.Key, LastModifiedDate: p.Modified, LastModifiedUser: p.Who, Description: p.Description,
		AllowedPattern: p.Pattern, Version: p.Version, Tier: p.Tier, Policies: []struct{}{}, DataType: "text"}
}

type describeInput struct {
	Filters []struct {
		Key    string
		Values []string
	}
	ParameterFilters []filter
	MaxResults       int
	NextToken        string
	Shared           bool
}

type describeOutput struct {
	Parameters []described
	NextToken  string `json:",omitzero"`
}

func (s *service) describe(ctx context.Context, _ *wire.Call, in *describeInput) (*describeOutput, error) {
	filters := slices.Clone(in.ParameterFilters)
	for _, f := range in.Filters { // the older form
		option := "Equals"
		if f.Key == "Name" {
			option = "BeginsWith"
		}
		filters = append(filters, filter{f.Key, option, f.Values})
	}
	out := &describeOutput{Parameters: []described{}}
	if in.Shared {
		return out, nil // nobody shares with us
	}
	all, next, err := s.list(ctx, filters, in.NextToken, in.MaxResults, 50)
	out.NextToken = next
	for _, p := range all {
		out.Parameters = append(out.Parameters, s.described(p))
	}
	return out, err
}

func (s *service) history(ctx context.Context, _ *wire.Call, in *getInput) (*describeOutput, error) {
	name, _, err := s.vault.ParseParameter(in.Name)
	if err != nil {
		return nil, err
	}
	all, err := s.vault.ParameterVersions(ctx, name)
	if err != nil {
		return nil, err
	}
	out, last := &describeOutput{Parameters: []described{}}, int64(0)
	if in.NextToken != "" {
		if last, err = strconv.ParseInt(in.NextToken, 10, 64); err != nil {
			return nil, wire.Errorf("InvalidNextToken", "NextToken is not of this list")
		}
	}
	for _, p := range all {
		if p.Version <= last {
			continue
		}
		if in.MaxResults > 0 && len(out.Parameters) == in.MaxResults {
			out.NextToken = fmt.Sprint(out.Parameters[in.MaxResults-1].Version)
			break
		}
		value, err := s.told(p, in.WithDecryption)
		if err != nil {
			return nil, err
		}
		d := s.described(p)
		d.ARN, d.Value, d.Labels = "", value.Value, []string{}
		out.Parameters = append(out.Parameters, d)
	}
	return out, nil
}

func (s *service) delete(ctx context.Context, _ *wire.Call, in *getInput) (*struct{}, error) {
	name, _, err := s.vault.ParseParameter(in.Name)
	if err != nil {
		return nil, err
	}
	return nil, s.vault.DeleteParameter(ctx, name)
}

type deleteOutput struct{ DeletedParameters, InvalidParameters []string }

func (s *service) deleteAll(ctx context.Context, c *wire.Call, in *namesInput) (*deleteOutput, error) {
	out := &deleteOutput{[]string{}, []string{}}
	for _, text := range in.Names {
		_, err := s.delete(ctx, c, &getInput{Name: text})
		switch {
		case err == nil:
			out.DeletedParameters = append(out.DeletedParameters, text)
		case fault.Of(err) == fault.NotFound:
			out.InvalidParameters = append(out.InvalidParameters, text)
		default:
			return nil, err
		}
	}
	return out, nil
}

type tagInput struct {
	ResourceType string
	ResourceID   string `json:"ResourceId"`
	Tags         []tag
	TagKeys      []string
}

func (in *tagInput) names() []string { return []string{in.ResourceID} }

func (in *tagInput) check() error {
	if in.ResourceType != "Parameter" {
		return wire.Errorf("InvalidResourceType", "only parameters are here, and nothing else of Systems Manager")
	}
	return nil
}

func (s *service) tag(ctx context.Context, _ *wire.Call, in *tagInput) (*struct{}, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return nil, s.vault.TagParameter(ctx, in.ResourceID, tagMap(in.Tags), nil)
}

func (s *service) untag(ctx context.Context, _ *wire.Call, in *tagInput) (*struct{}, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return nil, s.vault.TagParameter(ctx, in.ResourceID, nil, in.TagKeys)
}

type tagsOutput struct{ TagList []tag }

func (s *service) tags(ctx context.Context, _ *wire.Call, in *tagInput) (*tagsOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	tags, err := s.vault.ParameterTags(ctx, in.ResourceID)
	out := &tagsOutput{TagList: []tag{}}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		out.TagList = append(out.TagList, tag{k, tags[k]})
	}
	return out, err
}
