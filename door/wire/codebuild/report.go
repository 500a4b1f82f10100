package codebuild

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/build"
)

type createGroupInput struct {
	Name   string             `json:"name"`
	Type   string             `json:"type"`
	Export build.ReportExport `json:"exportConfig"`
	Tags   []build.Tag        `json:"tags"`
}

type groupOutput struct {
	Group build.ReportGroup `json:"reportGroup"`
}

func (s *service) askGroupName(c *wire.Call, in *createGroupInput) []iam.Request {
	return c.Ask(s.group(in.Name))
}

func (s *service) createGroup(ctx context.Context, _ *wire.Call, in *createGroupInput) (*groupOutput, error) {
	g, err := s.builds.CreateGroup(ctx, build.ReportGroup{Name: in.Name, Type: in.Type, Export: in.Export, Tags: in.Tags})
	return &groupOutput{g}, err
}

type groupInput struct {
	ARN     string              `json:"arn"`
	Export  *build.ReportExport `json:"exportConfig"`
	Tags    *[]build.Tag        `json:"tags"`
	Reports bool                `json:"deleteReports"`
}

func (s *service) askGroup(c *wire.Call, in *groupInput) []iam.Request {
	return c.Ask(s.group(in.ARN))
}

func (s *service) updateGroup(ctx context.Context, _ *wire.Call, in *groupInput) (*groupOutput, error) {
	g, err := s.builds.ChangeGroup(ctx, in.ARN, func(g *build.ReportGroup) {
		set(&g.Export, in.Export)
		set(&g.Tags, in.Tags)
	})
	return &groupOutput{g}, err
}

func (s *service) deleteGroup(ctx context.Context, _ *wire.Call, in *groupInput) (*none, error) {
	return nil, s.builds.DeleteGroup(ctx, in.ARN, in.Reports)
}

type groupsInput struct {
	ARNs []string `json:"reportGroupArns"`
}

type groupsOutput struct {
	Groups   []build.ReportGroup `json:"reportGroups"`
	NotFound []string            `json:"reportGroupsNotFound"`
}

func (s *service) askGroups(c *wire.Call, in *groupsInput) []iam.Request {
	return c.Ask(each(in.ARNs, s.group)...)
}

func (s *service) batchGetGroups(ctx context.Context, _ *wire.Call, in *groupsInput) (*groupsOutput, error) {
	all, none, err := gather(ctx, in.ARNs, s.builds.Group)
	return &groupsOutput{all, none}, err
}

type listGroupsInput struct {
	SortBy    string `json:"sortBy"`
	SortOrder string `json:"sortOrder"`
	NextToken string `json:"nextToken"`
	Most      int    `json:"maxResults"`
}

type listGroupsOutput struct {
	NextToken string   `json:"nextToken,omitzero"`
	Groups    []string `json:"reportGroups"`
}

func (s *service) listGroups(ctx context.Context, _ *wire.Call, in *listGroupsInput) (*listGroupsOutput, error) {
	all, err := s.builds.Groups(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(x, y build.ReportGroup) int {
		switch in.SortBy {
		case "CREATED_TIME":
			return x.Created.Compare(y.Created)
		case "LAST_MODIFIED_TIME":
			return x.LastModified.Compare(y.LastModified)
		}
		return strings.Compare(x.Name, y.Name)
	})
	if in.SortOrder == "DESCENDING" {
		slices.Reverse(all)
	}
	arns := make([]string, len(all))
	for i, g := range all {
		arns[i] = g.ARN
	}
	out := &listGroupsOutput{}
	out.Groups, out.NextToken, err = page(arns, in.NextToken, in.Most, 100)
	return out, err
}

type reportsInput struct {
	ARNs []string `json:"reportArns"`
}

type reportsOutput struct {
	Reports  []build.Report `json:"reports"`
	NotFound []string       `json:"reportsNotFound"`
}

func (s *service) askReports(c *wire.Call, in *reportsInput) []iam.Request {
	return c.Ask(each(in.ARNs, s.group)...)
}

func (s *service) batchGetReports(ctx context.Context, _ *wire.Call, in *reportsInput) (*reportsOutput, error) {
	all, none, err := gather(ctx, in.ARNs, s.builds.Report)
	for i := range all {
		all[i].Commit, all[i].Ref = "", "" // CodeBuild has no words for these
	}
	return &reportsOutput{all, none}, err
}

type listReportsInput struct {
	Group     string `json:"reportGroupArn"`
	SortOrder string `json:"sortOrder"`
	NextToken string `json:"nextToken"`
	Most      int    `json:"maxResults"`
	Filter    struct {
		Status string `json:"status"`
	} `json:"filter"`
}

func (s *service) askListReports(c *wire.Call, in *listReportsInput) []iam.Request {
	return c.Ask(s.group(in.Group))
}

type listReportsOutput struct {
	NextToken string   `json:"nextToken,omitzero"`
	Reports   []string `json:"reports"`
}

func (s *service) listReports(ctx context.Context, _ *wire.Call, in *listReportsInput) (*listReportsOutput, error) {
	from, err := offset(in.NextToken)
	if err != nil {
		return nil, err
	}
	size := cmp.Or(in.Most, 100)
	all, err := s.builds.Reports(ctx, in.Group, in.Filter.Status, in.SortOrder == "ASCENDING", from, size+1)
	if err != nil {
		return nil, err
	}
	out := &listReportsOutput{}
	for _, r := range all[:min(len(all), size)] {
		out.Reports = append(out.Reports, r.ARN)
	}
	if len(all) > size {
		out.NextToken = strconv.Itoa(from + size)
	}
	return out, nil
}

type arnInput struct {
	ARN string `json:"arn"`
}

func (s *service) askReport(c *wire.Call, in *arnInput) []iam.Request {
	return c.Ask(s.group(in.ARN))
}

func (s *service) deleteReport(ctx context.Context, _ *wire.Call, in *arnInput) (*none, error) {
	return nil, s.builds.DeleteReport(ctx, in.ARN)
}

type casesInput struct {
	Report    string `json:"reportArn"`
	NextToken string `json:"nextToken"`
	Most      int    `json:"maxResults"`
	Filter    struct {
		Status  string `json:"status"`
		Keyword string `json:"keyword"`
	} `json:"filter"`
	SortOrder string   `json:"sortOrder"` // these four of coverage
	SortBy    string   `json:"sortBy"`
	Min       *float64 `json:"minLineCoveragePercentage"`
	Max       *float64 `json:"maxLineCoveragePercentage"`
}

func (s *service) askCases(c *wire.Call, in *casesInput) []iam.Request {
	return c.Ask(s.group(in.Report))
}

type casesOutput struct {
	NextToken string       `json:"nextToken,omitzero"`
	Cases     []build.Case `json:"testCases"`
}

func (s *service) describeCases(ctx context.Context, _ *wire.Call, in *casesInput) (*casesOutput, error) {
	from, err := offset(in.NextToken)
	if err != nil {
		return nil, err
	}
	size := cmp.Or(in.Most, 100)
	all, err := s.builds.Cases(ctx, in.Report, in.Filter.Status, in.Filter.Keyword, from, size+1)
	if err != nil {
		return nil, err
	}
	out := &casesOutput{Cases: all[:min(len(all), size)]}
	if out.Cases == nil {
		out.Cases = []build.Case{}
	}
	if len(all) > size {
		out.NextToken = strconv.Itoa(from + size)
	}
	return out, nil
}

type coverageOutput struct {
	NextToken string          `json:"nextToken,omitzero"`
	Coverages []build.Covered `json:"codeCoverages"`
}

func (s *service) describeCoverage(ctx context.Context, _ *wire.Call, in *casesInput) (*coverageOutput, error) {
	all, err := s.builds.Coverage(ctx, in.Report)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(c build.Covered) bool {
		return in.Min != nil && c.LinePercent < *in.Min || in.Max != nil && c.LinePercent > *in.Max
	})
	slices.SortStableFunc(all, func(x, y build.Covered) int {
		if in.SortBy == "FILE_PATH" {
			return strings.Compare(x.File, y.File)
		}
		return cmp.Compare(x.LinePercent, y.LinePercent)
	})
	if in.SortOrder == "DESCENDING" {
		slices.Reverse(all)
	}
	out := &coverageOutput{}
	out.Coverages, out.NextToken, err = page(all, in.NextToken, in.Most, 100)
	if out.Coverages == nil {
		out.Coverages = []build.Covered{}
	}
	return out, err
}

type trendInput struct {
	Group   string `json:"reportGroupArn"`
	Reports int    `json:"numOfReports"`
	Field   string `json:"trendField"`
}

func (s *service) askTrend(c *wire.Call, in *trendInput) []iam.Request {
	return c.Ask(s.group(in.Group))
}

type trendOutput struct {
	Stats *trendStats `json:"stats,omitzero"`
	Data  []trendData `json:"rawData"`
}

type trendStats struct {
	Average string `json:"average"`
	Max     string `json:"max"`
	Min     string `json:"min"`
}

type trendData struct {
	Report string `json:"reportArn"`
	Data   string `json:"data"`
}

func (s *service) trend(ctx context.Context, _ *wire.Call, in *trendInput) (*trendOutput, error) {
	points, err := s.builds.Trend(ctx, in.Group, in.Field, cmp.Or(in.Reports, 100))
	if err != nil {
		return nil, err
	}
	out := &trendOutput{Data: []trendData{}}
	if len(points) == 0 {
		return out, nil
	}
	least, most, sum := points[0], points[0], 0.0
	for _, p := range points {
		if p.Value < least.Value {
			least = p
		}
		if p.Value > most.Value {
			most = p
		}
		sum += p.Value
		out.Data = append(out.Data, trendData{p.Report, p.Say()})
	}
	out.Stats = &trendStats{build.Point{Value: sum / float64(len(points))}.Say(), most.Say(), least.Say()}
	return out, nil
}

type fleetInput struct {
	build.Fleet
}

type fleetOutput struct {
	Fleet build.Fleet `json:"fleet"`
}

func (s *service) askFleetName(c *wire.Call, in *fleetInput) []iam.Request {
	return c.Ask(s.fleet(in.Name))
}

func (s *service) createFleet(ctx context.Context, _ *wire.Call, in *fleetInput) (*fleetOutput, error) {
	f, err := s.builds.CreateFleet(ctx, in.Fleet)
	return &fleetOutput{f}, err
}

func (s *service) askFleet(c *wire.Call, in *fleetInput) []iam.Request {
	return c.Ask(s.fleet(in.ARN))
}

func (s *service) updateFleet(ctx context.Context, _ *wire.Call, in *fleetInput) (*fleetOutput, error) {
	f, err := s.builds.ChangeFleet(ctx, in.ARN, func(f *build.Fleet) {
		f.BaseCapacity = cmp.Or(in.BaseCapacity, f.BaseCapacity)
		f.Environment, f.Compute, f.Overflow = cmp.Or(in.Environment, f.Environment), cmp.Or(in.Compute, f.Compute), cmp.Or(in.Overflow, f.Overflow)
		f.ImageID, f.Role = cmp.Or(in.ImageID, f.ImageID), cmp.Or(in.Role, f.Role)
		f.VPC, f.Scaling, f.ComputeSaid = in.VPC, in.Scaling, in.ComputeSaid
		if in.Proxy != nil {
			f.Proxy = in.Proxy
		}
		if in.Tags != nil {
			f.Tags = in.Tags
		}
	})
	return &fleetOutput{f}, err
}

func (s *service) deleteFleet(ctx context.Context, _ *wire.Call, in *fleetInput) (*none, error) {
	return nil, s.builds.DeleteFleet(ctx, in.ARN)
}

type fleetsOutput struct {
	Fleets   []build.Fleet `json:"fleets"`
	NotFound []string      `json:"fleetsNotFound"`
}

func (s *service) askFleets(c *wire.Call, in *namesInput) []iam.Request {
	return c.Ask(each(in.Names, s.fleet)...)
}

func (s *service) batchGetFleets(ctx context.Context, _ *wire.Call, in *namesInput) (*fleetsOutput, error) {
	all, none, err := gather(ctx, in.Names, s.builds.Fleet)
	return &fleetsOutput{all, none}, err
}

type listFleetsInput struct {
	NextToken string `json:"nextToken"`
	Most      int    `json:"maxResults"`
	SortOrder string `json:"sortOrder"`
	SortBy    string `json:"sortBy"`
}

type listFleetsOutput struct {
	NextToken string   `json:"nextToken,omitzero"`
	Fleets    []string `json:"fleets"`
}

func (s *service) listFleets(ctx context.Context, _ *wire.Call, in *listFleetsInput) (*listFleetsOutput, error) {
	all, err := s.builds.Fleets(ctx)
	if err != nil {
		return nil, err
	}
	if in.SortOrder == "DESCENDING" {
		slices.Reverse(all)
	}
	arns := make([]string, len(all))
	for i, f := range all {
		arns[i] = f.ARN
	}
	out := &listFleetsOutput{}
	out.Fleets, out.NextToken, err = page(arns, in.NextToken, in.Most, 100)
	return out, err
}
