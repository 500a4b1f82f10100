package app

import (
	"github.com/haechi-dev/haechi/door/reports"
	"github.com/haechi-dev/haechi/door/wire"
)

// Services are those that wire answers for.
func (a *App) Services() []wire.Service { return a.services() }

// Pages are the console's paths, METHOD /path.
func (a *App) Pages() []string { return a.pages.Paths() }

// Reports is the door that takes reports.
func (a *App) Reports() *reports.Door { return a.reports }
