// pm2 start ecosystem.config.js: payload server and dashboard as two processes.
const env = {
  MODEL_MANAGER_HTTP_HOST: "0.0.0.0",
  MODEL_MANAGER_HTTP_PORT: "6300",
  MODEL_MANAGER_DASHBOARD_PORT: "6301",
  MODEL_MANAGER_WATCH_ENABLED: "1",
  MODEL_MANAGER_WATCH_INTERVAL: "5",
  MODEL_MANAGER_WATCH_DEBOUNCE: "2",
};

module.exports = {
  apps: [
    {
      name: "model-manager",
      cwd: __dirname,
      script: "payload_server.py",
      interpreter: ".venv/bin/python",
      kill_timeout: 15000,
      env,
    },
    {
      name: "model-manager-dashboard",
      cwd: __dirname,
      script: ".venv/bin/streamlit",
      args:
        `run app.py --server.address ${env.MODEL_MANAGER_HTTP_HOST} --server.port ${env.MODEL_MANAGER_DASHBOARD_PORT}` +
        " --server.allowedHosts *", // other machines use names that are not known here
      interpreter: ".venv/bin/python",
      kill_timeout: 15000,
      env,
    },
  ],
};
