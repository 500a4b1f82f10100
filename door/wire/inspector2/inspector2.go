// Package inspector2 answers Inspector's API from the hub's findings on packages and from what is known of components.
package inspector2

import (
	"context"
	_ "embed"
	"encoding/base64"
	"strconv"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/word/fault"
)

//go:embed model.json
var table []byte

// Config is whom the service asks.
type Config struct {
	Hub             *hub.Hub
	Inspect         *inspect.Inspector
	Account, Region string
}

type service struct{ Config }

// Service answers what is known of packages: findings, their counts, what was
// looked into, and the filters that suppress. What speaks of EC2, Lambda, CIS
// or an organization is not here.
func Service(c Config) wire.Service {
	s := &service{c}
	return wire.Service{
		Model: wire.MustModel(table),
		Operations: map[string]wire.Operation{
			"ListFindings":            wire.Op(wire.AskAll, s.listFindings),
			"BatchGetFindingDetails":  wire.Op(wire.AskAll, s.details),
			"SearchVulnerabilities":   wire.Op(wire.AskAll, s.search),
			"ListFindingAggregations": wire.Op(wire.AskAll, s.listAggregations),
			"ListCoverage":            wire.Op(wire.AskAll, s.listCoverage),
			"ListCoverageStatistics":  wire.Op(wire.AskAll, s.coverageStatistics),
			"CreateSbomExport":        wire.Op(wire.AskAll, s.createExport),
			"GetSbomExport":           wire.Op(wire.AskAll, s.getExport),
			"CancelSbomExport":        wire.Op(wire.AskAll, s.cancelExport),
			"CreateFilter":            wire.Op(wire.AskAll, s.createFilter),
			"UpdateFilter":            wire.Op(s.askUpdateFilter, s.updateFilter),
			"ListFilters":             wire.Op(wire.AskAll, s.listFilters),
			"DeleteFilter":            wire.Op(s.askDeleteFilter, s.deleteFilter),
			"BatchGetAccountStatus":   wire.Op(wire.AskAll, s.accountStatus),
			"Enable":                  wire.Op(wire.AskAll, s.enable),
			"Disable":                 wire.Op(wire.AskAll, s.disable),
		},
		Faults: wire.Faults{
			fault.Internal: {"InternalServerException"},
			fault.Invalid:  {"ValidationException"},
			fault.Exists:   {"BadRequestException", "ValidationException"},
			fault.NotFound: {"ResourceNotFoundException", "ValidationException"},
			fault.Limit:    {"ServiceQuotaExceededException", "ValidationException"},
		},
	}
}

// page is the part of a list that is asked for, and the token of the next one: where it begins.
func page[T any](list []T, token string, size, most int) ([]T, string, error) {
	if size <= 0 || size > most {
		size = most
	}
	start := 0
	if token != "" {
		text, err := base64.RawURLEncoding.Strict().DecodeString(token)
		n, e := strconv.Atoi(string(text))
		if err != nil || e != nil || n < 1 || strconv.Itoa(n) != string(text) {
			return nil, "", fault.Invalid.Errorf("nextToken is not of this list")
		}
		start = min(n, len(list))
	}
	end := min(start+size, len(list))
	part := append([]T{}, list[start:end]...) // never null
	if end == len(list) {
		return part, "", nil
	}
	return part, base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(end))), nil
}

// Accounts of calls: one account is here.

type accountsInput struct {
	AccountIDs    []string `json:"accountIds"`
	ResourceTypes []string `json:"resourceTypes"`
}

type state struct {
	Status       string `json:"status"`
	ErrorCode    string `json:"errorCode"`
	ErrorMessage string `json:"errorMessage"`
}

type accountState struct {
	AccountID     string           `json:"accountId"`
	State         state            `json:"state"`
	ResourceState map[string]state `json:"resourceState"`
}

type failedAccount struct {
	AccountID    string `json:"accountId"`
	ErrorCode    string `json:"errorCode"`
	ErrorMessage string `json:"errorMessage"`
}

type statusOutput struct {
	Accounts []accountState  `json:"accounts"`
	Failed   []failedAccount `json:"failedAccounts"`
}

// looked are the kinds of resources, and whether they are looked into here.
var looked = []struct {
	name, kind string
	here       bool
}{{"ec2", "EC2", false}, {"ecr", "ECR", true}, {"lambda", "LAMBDA", false}, {"lambdaCode", "LAMBDA_CODE", false}, {"codeRepository", "CODE_REPOSITORY", true}}

func statusOf(here bool) string {
	if here {
		return "ENABLED"
	}
	return "DISABLED"
}

// others are the accounts of a list that are not ours.
func (s *service) others(ids []string) (own bool, failed []failedAccount) {
	own, failed = len(ids) == 0, []failedAccount{}
	for _, id := range ids {
		if id == s.Account {
			own = true
			continue
		}
		failed = append(failed, failedAccount{id, "RESOURCE_NOT_FOUND", "this server is of the account " + s.Account})
	}
	return own, failed
}

func (s *service) accountStatus(_ context.Context, _ *wire.Call, in *accountsInput) (*statusOutput, error) {
	out := &statusOutput{Accounts: []accountState{}}
	var own bool
	if own, out.Failed = s.others(in.AccountIDs); own {
		states := map[string]state{}
		for _, l := range looked {
			states[l.name] = state{Status: statusOf(l.here), ErrorCode: "ALREADY_ENABLED", ErrorMessage: "as this server is built"}
		}
		out.Accounts = append(out.Accounts, accountState{s.Account, state{"ENABLED", "ALREADY_ENABLED", "as this server is built"}, states})
	}
	return out, nil
}

type account struct {
	AccountID      string            `json:"accountId"`
	Status         string            `json:"status"`
	ResourceStatus map[string]string `json:"resourceStatus"`
}

type enableOutput struct {
	Accounts []account       `json:"accounts"`
	Failed   []failedAccount `json:"failedAccounts"`
}

// enable says what is on. Repositories and images always are; the others cannot be.
func (s *service) enable(_ context.Context, _ *wire.Call, in *accountsInput) (*enableOutput, error) {
	out := &enableOutput{Accounts: []account{}}
	own, failed := s.others(in.AccountIDs)
	out.Failed = failed
	for _, kind := range in.ResourceTypes {
		for _, l := range looked {
			if l.kind == kind && !l.here {
				return nil, fault.Invalid.Errorf("%s is not looked into here: ECR and CODE_REPOSITORY are, always", kind)
			}
		}
	}
	if own {
		out.Accounts = append(out.Accounts, s.account())
	}
	return out, nil
}

func (s *service) account() account {
	a := account{s.Account, "ENABLED", map[string]string{}}
	for _, l := range looked {
		a.ResourceStatus[l.name] = statusOf(l.here)
	}
	return a
}

// disable turns off what is off. Repositories and images are looked into as long as they come.
func (s *service) disable(_ context.Context, _ *wire.Call, in *accountsInput) (*enableOutput, error) {
	out := &enableOutput{Accounts: []account{}}
	own, failed := s.others(in.AccountIDs)
	out.Failed = failed
	kinds := in.ResourceTypes
	if len(kinds) == 0 {
		kinds = []string{"ECR"}
	}
	for _, kind := range kinds {
		for _, l := range looked {
			if l.kind == kind && l.here {
				return nil, fault.Invalid.Errorf("%s cannot be turned off here: what is not pushed or imported is not looked into", kind)
			}
		}
	}
	if own {
		out.Accounts = append(out.Accounts, s.account())
	}
	return out, nil
}

// Exports go to S3, which this server does not write to.

type exportInput struct {
	ReportFormat  string `json:"reportFormat"`
	S3Destination struct {
		BucketName string `json:"bucketName"`
	} `json:"s3Destination"`
}

type reportInput struct {
	ReportID string `json:"reportId"`
}

type none struct{}

func (s *service) createExport(_ context.Context, _ *wire.Call, in *exportInput) (*none, error) {
	return nil, fault.Invalid.Errorf("this server writes to no S3 bucket, and not to %.60q: bills of materials are on the console's page of each thing (/components), and haechi sbom writes them", in.S3Destination.BucketName)
}

func (s *service) getExport(_ context.Context, _ *wire.Call, in *reportInput) (*none, error) {
	return nil, fault.NotFound.Errorf("there is no export %s: this server makes none", in.ReportID)
}

func (s *service) cancelExport(ctx context.Context, c *wire.Call, in *reportInput) (*none, error) {
	return s.getExport(ctx, c, in)
}
