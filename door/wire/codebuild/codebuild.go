// Package codebuild answers CodeBuild: projects, builds and batches, their reports, and what they may fetch.
package codebuild

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/build"
	"github.com/haechi-dev/haechi/word/fault"
)

//go:embed model.json
var table []byte

type service struct{ builds *build.Builds }

// Service answers codebuild, for the builds there are.
func Service(builds *build.Builds) wire.Service {
	s := &service{builds}
	return wire.Service{
		Model: wire.MustModel(table),
		Operations: map[string]wire.Operation{
			"CreateProject":          wire.Op(s.askCreateProject, s.createProject),
			"UpdateProject":          wire.Op(s.askUpdateProject, s.updateProject),
			"DeleteProject":          wire.Op(s.askName, s.deleteProject),
			"BatchGetProjects":       wire.Op(s.askNames, s.batchGetProjects),
			"ListProjects":           wire.Op(wire.AskAll, s.listProjects),
			"InvalidateProjectCache": wire.Op(s.askProject, s.invalidateCache),

			"StartBuild":           wire.Op(s.askStart, s.startBuild),
			"StopBuild":            wire.Op(s.askBuild, s.stopBuild),
			"RetryBuild":           wire.Op(s.askRetry, s.retryBuild),
			"BatchGetBuilds":       wire.Op(s.askBuilds, s.batchGetBuilds),
			"BatchDeleteBuilds":    wire.Op(s.askBuilds, s.batchDeleteBuilds),
			"ListBuilds":           wire.Op(wire.AskAll, s.listBuilds),
			"ListBuildsForProject": wire.Op(s.askListBuilds, s.listBuilds),

			"StartBuildBatch":            wire.Op(s.askStart, s.startBatch),
			"StopBuildBatch":             wire.Op(s.askBuild, s.stopBatch),
			"RetryBuildBatch":            wire.Op(s.askRetry, s.retryBatch),
			"DeleteBuildBatch":           wire.Op(s.askBuild, s.deleteBatch),
			"BatchGetBuildBatches":       wire.Op(s.askBuilds, s.batchGetBatches),
			"ListBuildBatches":           wire.Op(wire.AskAll, s.listBatches),
			"ListBuildBatchesForProject": wire.Op(s.askListBuilds, s.listBatches),

			"CreateReportGroup":         wire.Op(s.askGroupName, s.createGroup),
			"UpdateReportGroup":         wire.Op(s.askGroup, s.updateGroup),
			"DeleteReportGroup":         wire.Op(s.askGroup, s.deleteGroup),
			"BatchGetReportGroups":      wire.Op(s.askGroups, s.batchGetGroups),
			"ListReportGroups":          wire.Op(wire.AskAll, s.listGroups),
			"BatchGetReports":           wire.Op(s.askReports, s.batchGetReports),
			"ListReports":               wire.Op(wire.AskAll, s.listReports),
			"ListReportsForReportGroup": wire.Op(s.askListReports, s.listReports),
			"DeleteReport":              wire.Op(s.askReport, s.deleteReport),
			"DescribeTestCases":         wire.Op(s.askCases, s.describeCases),
			"DescribeCodeCoverages":     wire.Op(s.askCases, s.describeCoverage),
			"GetReportGroupTrend":       wire.Op(s.askTrend, s.trend),

			"CreateFleet":    wire.Op(s.askFleetName, s.createFleet),
			"UpdateFleet":    wire.Op(s.askFleet, s.updateFleet),
			"DeleteFleet":    wire.Op(s.askFleet, s.deleteFleet),
			"BatchGetFleets": wire.Op(s.askFleets, s.batchGetFleets),
			"ListFleets":     wire.Op(wire.AskAll, s.listFleets),

			"CreateWebhook": wire.Op(s.askWebhook, s.setWebhook),
			"UpdateWebhook": wire.Op(s.askWebhook, s.setWebhook),
			"DeleteWebhook": wire.Op(s.askProject, s.deleteWebhook),

			"StartSandbox":                    wire.Op(s.askStartSandbox, s.startSandbox),
			"StopSandbox":                     wire.Op(s.askBuild, s.stopSandbox),
			"BatchGetSandboxes":               wire.Op(s.askBuilds, s.batchGetSandboxes),
			"ListSandboxes":                   wire.Op(wire.AskAll, s.listSandboxes),
			"ListSandboxesForProject":         wire.Op(s.askListBuilds, s.listSandboxes),
			"StartCommandExecution":           wire.Op(s.askCommand, s.startCommand),
			"BatchGetCommandExecutions":       wire.Op(s.askCommand, s.batchGetCommands),
			"ListCommandExecutionsForSandbox": wire.Op(s.askCommand, s.listCommands),

			"ListCuratedEnvironmentImages": wire.Op(wire.AskAll, s.images),
			"ImportSourceCredentials":      wire.Op(wire.AskAll, s.importCredentials),
			"ListSourceCredentials":        wire.Op(wire.AskAll, s.listCredentials),
		},
		Faults: wire.Faults{
			fault.Invalid:     {"InvalidInputException"},
			fault.Conflict:    {"InvalidInputException"},
			fault.Unsupported: {"InvalidInputException"},
			fault.NotFound:    {"ResourceNotFoundException", "InvalidInputException"},
			fault.Exists:      {"ResourceAlreadyExistsException", "InvalidInputException"},
			fault.Limit:       {"AccountLimitExceededException", "InvalidInputException"},
		},
	}
}

// project is the ARN of a project by its name or ARN.
func (s *service) project(name string) string {
	if strings.HasPrefix(name, "arn:") {
		return name
	}
	return s.builds.ARN("project/" + name)
}

// projectOf is the ARN of the project that a build or a batch is of: what CodeBuild asks for.
func (s *service) projectOf(id string) string {
	if i := strings.LastIndexByte(id, '/'); i >= 0 { // an ARN
		id = id[i+1:]
	}
	name, _, _ := strings.Cut(id, ":")
	return s.builds.ARN("project/" + name)
}

// group is the ARN of a report group, or that of the group which a report is in.
func (s *service) group(name string) string {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		name = name[i+1:]
	}
	name, _, _ = strings.Cut(name, ":")
	return s.builds.ARN("report-group/" + name)
}

func (s *service) fleet(name string) string {
	if strings.HasPrefix(name, "arn:") {
		return name
	}
	return s.builds.ARN("fleet/" + name)
}

// gather asks for each of what is named: those that there are, and the names of those that are not there.
func gather[T any](ctx context.Context, names []string, one func(context.Context, string) (T, error)) (all []T, none []string, err error) {
	all, none = []T{}, []string{}
	for _, name := range names {
		found, err := one(ctx, name)
		switch {
		case errors.Is(err, fault.NotFound):
			none = append(none, name)
		case err != nil:
			return nil, nil, err
		default:
			all = append(all, found)
		}
	}
	return all, none, nil
}

// each is a function of every one of a list, each result once.
func each(list []string, of func(string) string) (all []string) {
	for _, one := range list {
		if made := of(one); !slices.Contains(all, made) {
			all = append(all, made)
		}
	}
	return all
}

type nameInput struct {
	Name string `json:"name"`
}

func (s *service) askName(c *wire.Call, in *nameInput) []iam.Request {
	return c.Ask(s.project(in.Name))
}

type projectInput struct {
	Project string `json:"projectName"`
}

func (s *service) askProject(c *wire.Call, in *projectInput) []iam.Request {
	return c.Ask(s.project(in.Project))
}

type namesInput struct {
	Names []string `json:"names"`
}

func (s *service) askNames(c *wire.Call, in *namesInput) []iam.Request {
	return c.Ask(each(in.Names, s.project)...)
}

type idInput struct {
	ID string `json:"id"`
}

func (s *service) askBuild(c *wire.Call, in *idInput) []iam.Request {
	return c.Ask(s.projectOf(in.ID))
}

type idsInput struct {
	IDs []string `json:"ids"`
}

func (s *service) askBuilds(c *wire.Call, in *idsInput) []iam.Request {
	return c.Ask(each(in.IDs, s.projectOf)...)
}

type none struct{}

// page is one page of a list, and the token of the next.
func page[T any](list []T, token string, limit, most int) ([]T, string, error) {
	from := 0
	if token != "" {
		var err error
		if from, err = strconv.Atoi(token); err != nil || from < 0 || from > len(list) {
			return nil, "", fault.Invalid.Errorf("nextToken is not one that this operation gave")
		}
	}
	size := cmp.Or(limit, most)
	if from+size >= len(list) {
		return list[from:], "", nil
	}
	return list[from : from+size], strconv.Itoa(from + size), nil
}

// offset is where the page of a token begins.
func offset(token string) (int, error) {
	if token == "" {
		return 0, nil
	}
	from, err := strconv.Atoi(token)
	if err != nil || from < 0 {
		return 0, fault.Invalid.Errorf("nextToken is not one that this operation gave")
	}
	return from, nil
}
