package app

import (
	"context"
	"time"

	"github.com/haechi-dev/haechi/door/console"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/room/comply"
	"github.com/haechi-dev/haechi/room/detect"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/room/route"
	"github.com/haechi-dev/haechi/word/finding"
)

// loop says what goes on at the stations of the three rivers, for the console's picture.
func (a *App) loop(ctx context.Context) (all []console.Station, err error) {
	for _, station := range []func(context.Context) (console.Station, error){
		a.sourceStation, a.journalStation, a.inventoryStation, a.pipelineStation, a.detectStation, a.complyStation, a.routeStation,
	} {
		s, err := station(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

const mostCounted = 1000 // what there is more of than that, nobody counts by looking

func (a *App) sourceStation(ctx context.Context) (console.Station, error) {
	repositories, err := a.Source.Repositories(ctx, "", mostCounted)
	return console.Station{Name: "source", Path: "/repositories", Count: len(repositories), Trains: "repositories"}, err
}

func (a *App) journalStation(context.Context) (console.Station, error) {
	return console.Station{Name: "journal", Count: int(a.Journal.Stats().Records), Trains: "new records"}, nil
}

func (a *App) inventoryStation(ctx context.Context) (console.Station, error) {
	s := console.Station{Name: "inventory", Path: "/resources", Trains: "resources"}
	counts, err := a.Inventory.Counts(ctx)
	for _, c := range counts {
		s.Count += c.N
	}
	return s, err
}

// pipelineStation counts what failed in the last week.
func (a *App) pipelineStation(ctx context.Context) (console.Station, error) {
	s := console.Station{Name: "pipeline", Path: "/runs?state=Failed", Trains: "failed in 7 days"}
	failed, err := a.Pipeline.Executions(ctx, pipeline.Query{Status: pipeline.Failed, Limit: 100})
	for _, e := range failed {
		if a.now().Sub(e.Created) < 7*24*time.Hour {
			s.Count++
		}
	}
	s.Bad = s.Count > 0
	return s, err
}

func (a *App) detectStation(ctx context.Context) (console.Station, error) {
	open := hub.Filters{"RecordState": hub.Is("ACTIVE"), "WorkflowStatus": hub.Is("NEW", "NOTIFIED"), "ProductFields": {{Key: finding.FieldTool, Value: detect.Tool, Comparison: hub.Equals}}}
	n, err := a.Hub.Count(ctx, open)
	return console.Station{Name: "detect", Path: "/findings?q=state:active+status:new,notified+tool:" + detect.Tool, Count: n, Trains: "signs of attack", Bad: n > 0}, err
}

func (a *App) complyStation(ctx context.Context) (console.Station, error) {
	s := console.Station{Name: "comply", Path: "/resources?compliance=NON_COMPLIANT", Trains: "not compliant"}
	rules, err := a.Comply.Rules(ctx)
	for _, r := range rules {
		s.Count += r.Counts[comply.NonCompliant]
	}
	return s, err
}

// routeStation counts what could not be delivered, or else what was.
func (a *App) routeStation(ctx context.Context) (console.Station, error) {
	counts, err := a.Route.Counts(ctx)
	told, dead := 0, 0
	for _, c := range counts {
		switch c.State {
		case route.Delivered:
			told += int(c.N)
		case route.Dead:
			dead += int(c.N)
		}
	}
	if dead > 0 {
		return console.Station{Name: "route", Path: "/deliveries?state=dead", Count: dead, Trains: "dead letters", Bad: true}, err
	}
	return console.Station{Name: "route", Path: "/routes", Count: told, Trains: "delivered"}, err
}
