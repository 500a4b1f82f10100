package events

import (
	"context"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/fault"
)

type archiveInput struct{ ArchiveName string }

type archiveSettings struct {
	ArchiveName, EventSourceArn string
	Description, EventPattern   *string
	RetentionDays               *int
	KmsKeyIdentifier            string
}

type archiveOutput struct {
	ArchiveArn, State string
	CreationTime      time.Time
}

func (s *service) askArchive(c *wire.Call, in *archiveInput) []iam.Request {
	return c.Ask(s.router.ArchiveARN(in.ArchiveName))
}

func (s *service) askCreateArchive(c *wire.Call, in *archiveSettings) []iam.Request {
	return c.Ask(s.router.ArchiveARN(in.ArchiveName))
}

func (s *service) askUpdateArchive(c *wire.Call, in *archiveSettings) []iam.Request {
	return c.Ask(s.router.ArchiveARN(in.ArchiveName))
}

// enabled is the state of every archive of ours.
const enabled = "ENABLED"

func (in *archiveSettings) apply(a *route.Archive) {
	if in.Description != nil {
		a.Description = *in.Description
	}
	if in.EventPattern != nil {
		a.Pattern = *in.EventPattern
	}
	if in.RetentionDays != nil {
		a.Days = *in.RetentionDays
	}
}

func (s *service) createArchive(ctx context.Context, _ *wire.Call, in *archiveSettings) (*archiveOutput, error) {
	if err := unsupported("KmsKeyIdentifier", in.KmsKeyIdentifier); err != nil {
		return nil, err
	}
	bus, err := s.bus(in.EventSourceArn)
	if err != nil {
		return nil, err
	}
	a := route.Archive{Name: in.ArchiveName, Bus: bus}
	in.apply(&a)
	a, err = s.router.CreateArchive(ctx, a)
	return &archiveOutput{s.router.ArchiveARN(a.Name), enabled, a.Created}, said(err)
}

func (s *service) updateArchive(ctx context.Context, _ *wire.Call, in *archiveSettings) (*archiveOutput, error) {
	if err := unsupported("KmsKeyIdentifier", in.KmsKeyIdentifier); err != nil {
		return nil, err
	}
	a, err := s.router.UpdateArchive(ctx, in.ArchiveName, in.apply)
	return &archiveOutput{s.router.ArchiveARN(a.Name), enabled, a.Created}, said(err)
}

func (s *service) deleteArchive(ctx context.Context, _ *wire.Call, in *archiveInput) (*none, error) {
	return &none{}, s.router.DeleteArchive(ctx, in.ArchiveName)
}

// archiveView is an archive as it is listed; Arn, Description and Pattern are for the one described.
type archiveView struct {
	ArchiveArn                         string `json:"ArchiveArn,omitzero"`
	ArchiveName, EventSourceArn, State string
	Description                        string `json:"Description,omitzero"`
	EventPattern                       string `json:"EventPattern,omitzero"`
	RetentionDays                      int
	SizeBytes, EventCount              int64
	CreationTime                       time.Time
}

func (s *service) archiveOf(a route.Archive) archiveView {
	return archiveView{ArchiveName: a.Name, EventSourceArn: s.router.BusARN(a.Bus), State: enabled, RetentionDays: a.Days, SizeBytes: a.Size, EventCount: a.Events, CreationTime: a.Created}
}

func (s *service) describeArchive(ctx context.Context, _ *wire.Call, in *archiveInput) (*archiveView, error) {
	a, err := s.router.Archive(ctx, in.ArchiveName)
	out := s.archiveOf(a)
	out.ArchiveArn, out.Description, out.EventPattern = s.router.ArchiveARN(a.Name), a.Description, a.Pattern
	return &out, err
}

type listArchivesInput struct {
	NamePrefix, EventSourceArn, State string
	paging
}

type listArchivesOutput struct {
	Archives  []archiveView
	NextToken string `json:"NextToken,omitzero"`
}

func (s *service) listArchives(ctx context.Context, _ *wire.Call, in *listArchivesInput) (*listArchivesOutput, error) {
	out := &listArchivesOutput{Archives: []archiveView{}}
	if in.State != "" && in.State != enabled {
		return out, nil
	}
	bus := ""
	if in.EventSourceArn != "" {
		var err error
		if bus, err = s.bus(in.EventSourceArn); err != nil {
			return nil, err
		}
	}
	archives, next, err := s.router.Archives(ctx, in.NamePrefix, bus, in.page())
	out.NextToken = next
	for _, a := range archives {
		out.Archives = append(out.Archives, s.archiveOf(a))
	}
	return out, err
}

type replayInput struct{ ReplayName string }

type destination struct {
	Arn        string
	FilterArns []string `json:"FilterArns,omitzero"`
}

type startReplayInput struct {
	ReplayName, Description, EventSourceArn string
	EventStartTime, EventEndTime            time.Time
	Destination                             destination
}

type startReplayOutput struct {
	ReplayArn, State string
	ReplayStartTime  time.Time
}

func (s *service) askReplay(c *wire.Call, in *replayInput) []iam.Request {
	return c.Ask(s.router.ReplayARN(in.ReplayName))
}

func (s *service) askStartReplay(c *wire.Call, in *startReplayInput) []iam.Request {
	return c.Ask(s.router.ReplayARN(in.ReplayName))
}

// archiveName is the name in the ARN of an archive of ours.
func (s *service) archiveName(arn string) (string, error) {
	_, name, _ := strings.Cut(arn, ":archive/")
	if arn != s.router.ArchiveARN(name) {
		return "", fault.NotFound.Errorf("Archive %s does not exist.", arn)
	}
	return name, nil
}

func (s *service) startReplay(ctx context.Context, _ *wire.Call, in *startReplayInput) (*startReplayOutput, error) {
	archive, err := s.archiveName(in.EventSourceArn)
	if err != nil {
		return nil, err
	}
	bus, err := s.bus(in.Destination.Arn)
	if err != nil {
		return nil, err
	}
	p, err := s.router.StartReplay(ctx, route.Replay{Name: in.ReplayName, Description: in.Description, Archive: archive, Bus: bus, Rules: in.Destination.FilterArns, From: in.EventStartTime, To: in.EventEndTime})
	return &startReplayOutput{s.router.ReplayARN(p.Name), p.State, p.Started}, err
}

type cancelReplayOutput struct{ ReplayArn, State string }

func (s *service) cancelReplay(ctx context.Context, _ *wire.Call, in *replayInput) (*cancelReplayOutput, error) {
	p, err := s.router.CancelReplay(ctx, in.ReplayName)
	return &cancelReplayOutput{s.router.ReplayARN(p.Name), p.State}, err
}

// replayView is a replay as it is listed; what may be empty is for the one described.
type replayView struct {
	ReplayName            string
	ReplayArn             string       `json:"ReplayArn,omitzero"`
	Description           string       `json:"Description,omitzero"`
	Destination           *destination `json:"Destination,omitzero"`
	State                 string
	StateReason           string `json:"StateReason,omitzero"`
	EventSourceArn        string
	EventStartTime        time.Time
	EventEndTime          time.Time
	EventLastReplayedTime *time.Time `json:"EventLastReplayedTime,omitzero"`
	ReplayStartTime       time.Time
	ReplayEndTime         *time.Time `json:"ReplayEndTime,omitzero"`
}

func (s *service) replayOf(p route.Replay) replayView {
	return replayView{ReplayName: p.Name, State: p.State, StateReason: p.Reason, EventSourceArn: s.router.ArchiveARN(p.Archive), EventStartTime: p.From, EventEndTime: p.To,
		EventLastReplayedTime: stamp(p.Last), ReplayStartTime: p.Started, ReplayEndTime: stamp(p.Ended)}
}

func (s *service) describeReplay(ctx context.Context, _ *wire.Call, in *replayInput) (*replayView, error) {
	p, err := s.router.Replay(ctx, in.ReplayName)
	out := s.replayOf(p)
	out.ReplayArn, out.Description, out.Destination = s.router.ReplayARN(p.Name), p.Description, &destination{s.router.BusARN(p.Bus), p.Rules}
	return &out, err
}

type listReplaysInput struct {
	NamePrefix, State, EventSourceArn string
	paging
}

type listReplaysOutput struct {
	Replays   []replayView
	NextToken string `json:"NextToken,omitzero"`
}

func (s *service) listReplays(ctx context.Context, _ *wire.Call, in *listReplaysInput) (*listReplaysOutput, error) {
	archive := ""
	if in.EventSourceArn != "" {
		var err error
		if archive, err = s.archiveName(in.EventSourceArn); err != nil {
			return nil, err
		}
	}
	replays, next, err := s.router.Replays(ctx, in.NamePrefix, archive, in.State, in.page())
	out := &listReplaysOutput{[]replayView{}, next}
	for _, p := range replays {
		out.Replays = append(out.Replays, s.replayOf(p))
	}
	return out, err
}
