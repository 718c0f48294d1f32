package provision

// Touched is a kind of object at Twilio that flexvc's commands create, change or
// delete. SECURITY.md has the list; a test holds it to the requests that the
// commands send.
type Touched struct {
	Object     string
	Operations []string // product and operationId of Twilio's OpenAPI files; the emulator's own where those have none
	By         string   // the commands that create or change it
	Undone     string   // what takes it back
}

// Footprint is every object that any command touches.
var Footprint = []Touched{
	{
		"TaskRouter activity", []string{"taskrouter.CreateActivity", "taskrouter.DeleteActivity"},
		"`init`", "`teardown`, if `init` created it and nobody is in it",
	},
	{
		"API keys `flexvc-token-server` and `flexvc-token-function`", []string{"iam.CreateNewKey", "iam.UpdateKey", "iam.DeleteKey"},
		"`init`; `function deploy`, `keys rotate`", "`teardown`; `function remove`, `keys rotate`",
	},
	{
		"`extensionVoiceClientEnabled` and `extensionVoiceClientEnabledAt` in a worker's attributes; on request `contact_uri`, from `client:ext_X` to `client:X`, and `extensionVoiceClientFormerContactUri`, which keeps the address of a phone until `contact_uri` has it back",
		[]string{"taskrouter.UpdateWorker"},
		"`workers enable`, `workers disable`, `runs`, `watch` (its repair)", "`runs rollback`, `teardown`",
	},
	{
		"Event Streams sink", []string{"events.CreateSink", "events.DeleteSink"},
		"`events enable`", "`events disable`, `teardown`",
	},
	{
		"Event Streams subscription", []string{"events.CreateSubscription", "events.DeleteSubscription"},
		"`events enable`", "`events disable`, `teardown`",
	},
	{
		"workspace's event callback, if it has none", []string{"taskrouter.UpdateWorkspace"},
		"`events enable --callback`", "`events disable`, `teardown`",
	},
	{
		"Serverless services `default`, if there is none, and `flexvc-token`; the latter is given no auth token", []string{"serverless.CreateService", "serverless.UpdateService", "serverless.DeleteService"},
		"`plugin deploy`; `function deploy`", "`teardown`, if nobody else uses it by then; `function remove`",
	},
	{
		"Serverless environments `flexvc-voice-client` and, in `flexvc-token`, `production`", []string{"serverless.CreateEnvironment", "serverless.DeleteEnvironment"},
		"`plugin deploy`; `function deploy`", "`teardown`; `function remove`",
	},
	{
		"Serverless variables that begin with `FLEXVC_`, in `flexvc-token` alone; one of them is the secret of `flexvc-token-function`",
		[]string{"serverless.CreateVariable", "serverless.UpdateVariable", "serverless.DeleteVariable"},
		"`function deploy`, `function rollback`, `keys rotate`", "`function remove`, `teardown`, with the service",
	},
	{
		"Serverless Functions `generateToken` and their code, in `flexvc-token` alone", []string{"serverless.CreateFunction", "serverless-upload.CreateFunctionVersion"},
		"`function deploy`", "`function remove`, `teardown`, with the service",
	},
	{
		"Serverless asset `flexvc-voice-client` and its files", []string{"serverless.CreateAsset", "serverless-upload.CreateAssetVersion", "serverless.DeleteAsset"},
		"`plugin deploy`", "`teardown`",
	},
	{
		"Serverless builds, deployed to those environments alone", []string{"serverless.CreateBuild", "serverless.CreateDeployment", "serverless.DeleteBuild"},
		"`plugin deploy`; `function deploy`, `function rollback`", "`teardown`; `function remove`",
	},
	{
		"`serverless_service_sids` of the Flex configuration", []string{"flex-api.UpdateConfiguration"},
		"`plugin deploy`", "`teardown`, with the service",
	},
	{
		"Flex plugin `flexvc-voice-client` and its versions", []string{"flex-api.CreatePlugin", "flex-api.CreatePluginVersion"},
		"`plugin deploy`", "nothing: Twilio deletes neither; without a release they do nothing",
	},
	{
		"Flex plugin configuration and release; the plugins of others stay in it", []string{"flex-api.CreatePluginConfiguration", "flex-api.CreatePluginRelease"},
		"`plugin deploy`, `plugin rollback`, `plugin remove`, `teardown`", "a later release; Twilio keeps the history",
	},
	{
		"Flex token of an agent, valid for a minute", []string{"flex-api.CreateFlexUserToken"},
		"`doctor`", "it expires",
	},
}
