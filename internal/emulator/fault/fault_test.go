package fault

import "testing"

var targets = []Target{{Product: "taskrouter", ID: "UpdateWorker"}, {Product: "taskrouter", ID: "FetchWorker"}, {Product: "taskrouter", ID: "ListWorker"}, {Product: "api", ID: "CreateNewKey"}}

func FuzzFault(f *testing.F) {
	for _, seed := range []string{"UpdateWorker:429*5", "UpdateWorker:503html@10", "FetchWorker:delay=200ms", "*:429,retry-after=1*3", "api.CreateNewKey:403,code=20003@2*1", "x:y", ":", "ListWorker:truncate*1*1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		x, err := parse(spec, targets)
		if err != nil {
			return
		}
		actions := 0
		for _, on := range []bool{x.Refusal.Status != 0, x.Delay > 0, x.Drop, x.Cut != Nothing} {
			if on {
				actions++
			}
		}
		if actions != 1 || x.from < 1 || x.times < 0 || x.spec != spec {
			t.Errorf("%q was understood as %+v", spec, x)
		}
	})
}
