package reconcile

// The points at which a crash is interesting: before and after every change
// of state and every action outside. Tests kill the process at each of them.
const (
	pointSubmitting = "run.submitting"
	pointSubmitted  = "run.submitted"
	pointStopAsking = "stop.asking"
	pointStopAsked  = "stop.asked"
	pointStopSend   = "stop.sending"
	pointStopSent   = "stop.sent"

	pointRecording = "attempt.recording"
	pointRecorded  = "attempt.recorded"
	pointStarting  = "attempt.starting"
	pointStarted   = "attempt.started"

	pointMoving  = "move.recording"
	pointMoved   = "move.recorded"
	pointBrought = "move.brought"

	pointOrphanStop   = "orphan.stopping"
	pointOrphanForget = "orphan.forgetting"
)

// change names a transition that an observation leads to. Each has two crash
// points: CHANGE.recording inside its transaction, CHANGE.recorded after it.
type change string

const (
	changeNone      change = ""
	changeRunning   change = "attempt.running"
	changeProgress  change = "attempt.progress"
	changeMetered   change = "attempt.metered"
	changeSucceeded change = "run.succeeded"
	changeFailed    change = "run.failed"
	changeStopped   change = "run.stopped"
	changeRequeued  change = "run.requeued"
	changeWaits     change = "run.waits" // not among CrashPoints: only words change, and the engine of this machine never waits
)

func (c change) before() string { return string(c) + ".recording" }
func (c change) after() string  { return string(c) + ".recorded" }

// CrashPoints lists every point that Options.Crash is called with.
func CrashPoints() []string {
	points := []string{
		pointSubmitting, pointSubmitted, pointRecording, pointRecorded, pointStarting, pointStarted,
		pointStopAsking, pointStopAsked, pointStopSend, pointStopSent, pointMoving, pointMoved, pointBrought, pointOrphanStop, pointOrphanForget,
	}
	for _, c := range []change{
		changeRunning, changeProgress, changeMetered, changeSucceeded, changeFailed, changeStopped, changeRequeued,
	} {
		points = append(points, c.before(), c.after())
	}
	return points
}
